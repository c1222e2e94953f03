-- KEYS: session, tokens. ARGV: expiry.
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound or tonumber(session.exp) >= tonumber(ARGV[1]) then return {} end
session.exp = ARGV[1]
save(KEYS[1], session)
if session.tokens then keep_until(KEYS[2], milliseconds(session.exp)) end
return {}
