-- The keys of the operations: a Redis whose keys all live together, so that each is made here and none is given.

local prefix = ARGV[1]

-- Of a session: its record, and its tokens.
local function of_session(name)
  return prefix .. 's' .. name, prefix .. 't' .. name
end

local function of_key(kind, key)
  return prefix .. kind .. name_of(key)
end
