-- KEYS: session, tokens. ARGV: bound at, sub and sid of the sign-on that was carried on, its expiry, the new session's
-- name. Leaves the id behind if its sign-on is still that one, and notes where it went.
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local at, sub, sid, exp, to_name = unpack(ARGV, 1, 5)
if not session.sub then return { session.flag, session.till, {} } end
if not is_signon(session, at, sub, sid) or tonumber(session.exp) > tonumber(exp) then return { 'changed' } end
local tokens = tokens_of(KEYS[2], session)
leave_behind(session, KEYS[2], to_name, exp)
save(KEYS[1], session)
return { session.flag, session.till, tokens }
