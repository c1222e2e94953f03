-- The tokens of a session, a set beside its record.

-- The tokens are those of a list from a position on, so that arguments need not be copied.
local function add_tokens(key, session, list, first)
  if #list < first then return end
  for i = first, #list do redis.call('SADD', key, list[i]) end
  keep_until(key, milliseconds(session.exp))
  session.tokens = true
end

-- Of an older binding of the same sign-on the tokens stay: its user signed in once more.
local function put_tokens(key, session, older, list, first)
  local same = older.bound and older.sub == session.sub and older.sid == session.sid
  session.tokens = older.tokens and same
  if session.tokens then
    keep_until(key, milliseconds(session.exp))
  elseif older.tokens then
    redis.call('DEL', key)
  end
  add_tokens(key, session, list, first)
end

-- To a later login the tokens of an earlier one come along if it is the same user's: a logout ends both. Returns
-- whether.
local function unite_tokens(key, session, older, list, first)
  if #list < first or session.sub ~= older.sub or session.sid ~= older.sid then return false end
  add_tokens(key, session, list, first)
  return true
end

local function tokens_of(key, session)
  return session.tokens and redis.call('SMEMBERS', key) or {}
end
