-- KEYS: session. ARGV: until when, and when the sign-on was bound whose end it is: a later login has no part in it.
local session = load(KEYS[1])
local at = ARGV[2]
if session.flag == '' and not (at ~= '' and is_later(session, at)) then
  set_end(session, 'i', ARGV[1])
  save(KEYS[1], session)
end
return {}
