-- ARGV: key. Whether a session is bound under this sid or sub. Names are cut short, so others may be in its index.
-- Where there are more of others than anybody has, one of them may be: a mark too many is the price, and Redis stands
-- still for nobody.
local MOST_PAGES = 50

local key = ARGV[2]
local index, after = of_key('i', key), ''
for _ = 1, MOST_PAGES do
  local names
  names, after = page_of(index, after, PAGE)
  for _, name in ipairs(names) do
    local session = load(prefix .. 's' .. name)
    if session.bound and (session.sid == key or session.sub == key) then return { 1 } end
  end
  if not after then return { 0 } end
end
return { 1 }
