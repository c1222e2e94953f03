-- A sign-on is written or removed: its record, its tokens and its indexes in one go.

-- The other index of a sign-on beside that of its sub: of its sid, or of those of its sub that have none.
local function other_index(sub, sid)
  if sid == '' then return of_key('u', sub) end
  return of_key('i', sid)
end

local function index(name, session)
  index_add(of_key('i', session.sub), name, session.exp)
  index_add(other_index(session.sub, session.sid), name, session.exp)
end

local function unindex(name, session)
  redis.call('ZREM', of_key('i', session.sub), name)
  redis.call('ZREM', other_index(session.sub, session.sid), name)
end

-- Writes a sign-on under a session id, in place of what was bound there; but one that is carried there gives way to a
-- login that was bound there later, which then is returned. The tokens: a list from a position on.
local function put(name, signon, list, first, is_login)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if not is_login and is_later(session, signon.at) then
    if unite_tokens(tokens_key, session, signon, list, first) then save(key, session) end
    return session, true
  end
  if session.bound then
    unindex(name, session)
    append_log(prefix .. 'log', { 's', signon.id })
  end
  if is_login then keep_end(signon, session) end
  if is_login and session.flag == 'i' then session.flag, session.till = '', '0' end
  signon.flag, signon.till, signon.to, signon.bound = session.flag, session.till, session.to, true
  put_tokens(tokens_key, signon, session, list, first)
  save(key, signon)
  index(name, signon)
  return signon
end

local function unbind(name)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if not session.bound then return end
  unindex(name, session)
  if session.tokens then redis.call('DEL', tokens_key) end
  session.sub, session.bound, session.tokens = nil, false, false
  save(key, session)
end
