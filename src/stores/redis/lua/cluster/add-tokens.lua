-- KEYS: session, tokens. ARGV: tokens.
local session = load(KEYS[1])
if session.bound then
  add_tokens(KEYS[2], session, ARGV, 1)
  save(KEYS[1], session)
end
return {}
