-- ARGV: session's name, tokens.
local name = ARGV[2]
local key, tokens_key = of_session(name)
local session = load(key)
if session.bound then
  add_tokens(tokens_key, session, ARGV, 3)
  save(key, session)
end
return state_of(name)
