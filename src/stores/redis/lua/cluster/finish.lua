-- KEYS: session, tokens. ARGV: until when, and where a sign-on was followed: its bound at, sub and sid.
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local tokens, id = tokens_of(KEYS[2], session), session.id or ''
local till, at, sub, sid = unpack(ARGV, 1, 4)
local ended = end_locally(session, till, at, sub, sid)
if ended then save(KEYS[1], session) end
return { ended and 1 or 0, id, tokens, pointers_of(session, at, sub, sid) }
