-- KEYS: session, tokens. ARGV: whether it is a login (then an inherited end is lifted), session id, sub, sid, what the
-- login says, bound at, expiry, tokens. What is no login but carried there gives way to a login that was bound later.
local older, session = load(KEYS[1]), { bound = true }
if older.tokens and not KEYS[2] then return { 'with tokens' } end
local is_login = ARGV[1] == '1'
session.flag, session.till, session.to = older.flag, older.till, older.to
if is_login and session.flag == 'i' then session.flag, session.till = '', '0' end
session.id, session.sub, session.sid, session.iat, session.at, session.exp = unpack(ARGV, 2, 7)
if not is_login and is_later(older, session.at) then
  if unite_tokens(KEYS[2], older, session, ARGV, 8) then save(KEYS[1], older) end
  return { older.flag, 0, older.iat, 1 }
end
if is_login then keep_end(session, older) end
put_tokens(KEYS[2], session, older, ARGV, 8)
save(KEYS[1], session)
return { session.flag, older.bound and 1 or 0, session.iat }
