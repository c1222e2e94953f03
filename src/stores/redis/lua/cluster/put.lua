-- KEYS: session, tokens. ARGV: whether it is a login (then an inherited end is lifted), session id, sub, sid, what the
-- login says, bound at, expiry, tokens.
local older, session = load(KEYS[1]), { bound = true }
if older.tokens and not KEYS[2] then return { 'with tokens' } end
session.flag, session.till, session.to = older.flag, older.till, older.to
if ARGV[1] == '1' and session.flag == 'i' then session.flag, session.till = '', '0' end
session.id, session.sub, session.sid, session.iat, session.at, session.exp = unpack(ARGV, 2, 7)
if ARGV[1] == '1' then keep_end(session, older) end
put_tokens(KEYS[2], session, older, ARGV, 8)
save(KEYS[1], session)
return { session.flag, older.bound and 1 or 0, session.iat }
