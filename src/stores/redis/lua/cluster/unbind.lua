-- KEYS: session, tokens.
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound then return {} end
local reply = { session.flag, session.sub, session.sid }
if session.tokens then redis.call('DEL', KEYS[2]) end
session.sub, session.bound, session.tokens = nil, false, false
save(KEYS[1], session)
return reply
