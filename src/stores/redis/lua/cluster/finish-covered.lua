-- KEYS: session, tokens. ARGV: scope, key, sub, iat and seen of the mark, the marks' expiry.
-- Ends the session if it is the target's and the mark covers it.
local scope, key, sub, iat, seen, exp = unpack(ARGV, 1, 6)
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
-- Left behind a moment ago it is still found here, with the tokens that moved on.
if not session.sub or (scope == 'sid' and session.sid or session.sub) ~= key then return { 'none' } end
if scope == 'sidless' and session.sid ~= '' then return { 'none' } end
if sub ~= '' and sub ~= session.sub then return { 'mismatched' } end
if not covers(scope, iat, seen, session.iat, session.at) then return { 'none' } end
local till = later(exp, session.exp)
set_end(session, 'x', till)
save(KEYS[1], session)
return { 'covered', session.id, till, tokens_of(KEYS[2], session), session.sid }
