-- KEYS: session, tokens. The same with the tokens of the sign-on.
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local reply = { session.flag, session.bound and 1 or 0 }
if session.sub then
  reply[3], reply[4] = { session.iat, session.at, session.exp, session.sub, session.sid }, tokens_of(KEYS[2], session)
end
return reply
