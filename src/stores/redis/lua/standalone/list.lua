-- ARGV: scope, key, where the page before ended. Session ids, and iat and what comes with it, in turn.
local scope, key, after = unpack(ARGV, 2, 4)
local names, position = page_of(of_key('i', key), after, PAGE)
local reply = { position or '' }
for _, name in ipairs(names) do
  local session = load((of_session(name)))
  if session.bound and (scope == 'sid' and session.sid or session.sub) == key then
    reply[#reply + 1], reply[#reply + 2] = session.id, session.iat
  end
end
return reply
