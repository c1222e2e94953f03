-- ARGV: key. Whether a session is bound under this sid or sub. Names are cut short, so others may be in its index.
local key = ARGV[2]
local index, after = of_key('i', key), ''
repeat
  local names
  names, after = page_of(index, after, PAGE)
  for _, name in ipairs(names) do
    local session = load(prefix .. 's' .. name)
    if session.bound and (session.sid == key or session.sub == key) then return { 1 } end
  end
until not after
return { 0 }
