-- KEYS: session, tokens. ARGV: tokens.
local session = load(KEYS[1])
if session.bound then
  local had_tokens = session.tokens
  add_tokens(KEYS[2], session, ARGV, 1)
  if session.tokens ~= had_tokens then save(KEYS[1], session) end
end
return {}
