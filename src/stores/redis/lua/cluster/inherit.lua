-- KEYS: session. ARGV: until when.
local session = load(KEYS[1])
if session.flag == '' then
  set_end(session, 'i', ARGV[1])
  save(KEYS[1], session)
end
return {}
