-- ARGV: session's name, session id, sub, sid, what the login says, expiry, tokens.
local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
local marks = marks_against(sub, sid)
local at = bound_after(sid, marks[2] or '', bound_after(sub, marks[1], now()))
at = at == now() and clock_text or string.format('%.0f', at)
local session = put(name, { id = id, sub = sub, sid = sid, iat = iat, at = at, exp = exp }, ARGV, 8, true)
-- Nothing comes between: the marks are still the same.
return { at, session.flag, clock_text, marks[1] or '', marks[2] or '', session.iat }
