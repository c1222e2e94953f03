-- ARGV: session's name, expiry.
local name, exp = ARGV[2], ARGV[3]
local key, tokens_key = of_session(name)
local session = load(key)
if not session.bound or tonumber(session.exp) >= tonumber(exp) then return {} end
session.exp = exp
save(key, session)
index(name, session)
if session.tokens then keep_until(tokens_key, milliseconds(exp)) end
return {}
