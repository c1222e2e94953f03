-- ARGV: session's name, tokens.
local name = ARGV[2]
local key, tokens_key = of_session(name)
local session = load(key)
if session.bound then
  local had_tokens = session.tokens
  add_tokens(tokens_key, session, ARGV, 3)
  if session.tokens ~= had_tokens then save(key, session) end
end
return state_of(name)
