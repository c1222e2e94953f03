-- The operations of the store, each one round trip, for a Redis whose keys all live together. ARGV: prefix, then as each
-- says; empty is absent. Runs as a whole or not at all between other commands, so no step of it is ever seen half done.
local prefix = ARGV[1]
local operations = {}

-- SHA-1, because it is the one hash a Redis script has, and cut to 96 bits, because session ids are random: it only
-- keeps them out of key names. Of a session: its record and its tokens.
local function of_session(session_id)
  local name = string.sub(redis.sha1hex(session_id), 1, 24)
  return prefix .. 's' .. name, prefix .. 't' .. name
end

local function of_key(kind, key)
  return prefix .. kind .. string.sub(key, 1, 22)
end

local function marks_against(session)
  local marks = {}
  if not session.bound then return marks end
  local signon = session.signon
  if signon.sid ~= '' then marks_at(of_key('m', signon.sid), signon.sid, marks) end
  return marks_at(of_key('m', signon.sub), signon.sub, marks)
end

local function state_of(session_id)
  local key = of_session(session_id)
  local session = load(key)
  return session_reply(session, marks_against(session))
end

local function index(session_id, signon)
  index_add(of_key('i', signon.sub), session_id, signon.exp)
  if signon.sid ~= '' then index_add(of_key('i', signon.sid), session_id, signon.exp) end
end

local function unindex(session_id, signon)
  redis.call('ZREM', of_key('i', signon.sub), session_id)
  if signon.sid ~= '' then redis.call('ZREM', of_key('i', signon.sid), session_id) end
end

local function log_sessions(list, first)
  local entries = {}
  for i = first, #list do entries[#entries + 1] = { 's', list[i] } end
  append_log(prefix .. 'log', entries)
end

-- Writes a sign-on under a session id, in place of what was bound there. The tokens: a list from a position on.
local function put(session_id, signon, list, first, lift_inherited)
  local key, tokens_key = of_session(session_id)
  local session = load(key)
  if session.bound then
    unindex(session_id, session.signon)
    log_sessions({ session_id }, 1)
  end
  if lift_inherited and session.flag == 'i' then session.flag, session.till = '', 0 end
  session.signon, session.bound = signon, true
  save(key, session)
  index(session_id, signon)
  replace_tokens(tokens_key, list, first, signon.exp)
  return session
end

local function unbind(session_id)
  local key, tokens_key = of_session(session_id)
  local session = load(key)
  if not session.bound then return end
  unindex(session_id, session.signon)
  session.signon, session.bound = nil, false
  save(key, session)
  redis.call('DEL', tokens_key)
end

local function write_mark(mark, entries)
  local merged = merge_mark(of_key('m', mark.key), mark)
  register_mark(prefix .. 'marks', string.sub(mark.key, 1, 22), merged.exp)
  local reply = mark_reply(merged)
  entries[#entries + 1] = { 'm', cjson.encode(reply) }
  return merged, reply
end

local function remember_jti(jti, value, till)
  redis.call('SET', prefix .. 'j' .. jti, value, 'PXAT', milliseconds(till))
end

-- ARGV: session id, sub, sid, iat, expiry, tokens.
function operations.bind()
  local id, sub, sid, iat, exp = unpack(ARGV, 2, 6)
  local by_sub = marks_at(of_key('m', sub), sub, {})
  local at = after_logouts(now(), by_sub)
  local signon = { sub = sub, sid = sid, iat = tonumber(iat) or '', at = at, exp = tonumber(exp) }
  local session = put(id, signon, ARGV, 7, true)
  -- Nothing comes between: the marks of the sub are still the same.
  local marks = sid ~= '' and marks_at(of_key('m', sid), sid, by_sub) or by_sub
  return { 'ended', tostring(session.flag ~= ''), 'at', text(at), 'marks', marks_reply(marks) }
end

-- ARGV: old session id, new one, its expiry.
function operations.rebind()
  local from_id, to_id, exp = ARGV[2], ARGV[3], tonumber(ARGV[4])
  local from_key, tokens_key = of_session(from_id)
  local from = load(from_key)
  local inherits = from.flag == 'x' or from.flag == 'i'
  local signon = from.signon
  if signon then
    local moved = { sub = signon.sub, sid = signon.sid, iat = signon.iat, at = signon.at }
    moved.exp = math.max(signon.exp, exp)
    put(to_id, moved, redis.call('SMEMBERS', tokens_key), 1)
    if from.bound then unindex(from_id, signon) end
    from.bound = false
    if inherits then
      from.signon = nil
      redis.call('DEL', tokens_key)
    else
      set_end(from, 'm', moved.exp)
      keep_until(tokens_key, from.till)
    end
    save(from_key, from)
    log_sessions({ from_id }, 1)
  end
  if inherits then
    local to_key = of_session(to_id)
    local to = load(to_key)
    if to.flag == '' then
      set_end(to, 'i', math.max(from.till, exp))
      save(to_key, to)
      log_sessions({ to_id }, 1)
    end
  end
  return state_of(to_id)
end

-- ARGV: session id, expiry.
function operations.renew()
  local id, exp = ARGV[2], tonumber(ARGV[3])
  local key, tokens_key = of_session(id)
  local session = load(key)
  if not session.bound or session.signon.exp >= exp then return {} end
  session.signon.exp = exp
  save(key, session)
  index(id, session.signon)
  keep_until(tokens_key, exp)
  return {}
end

-- ARGV: session id, tokens.
function operations.addTokens()
  local id = ARGV[2]
  local key, tokens_key = of_session(id)
  local session = load(key)
  if session.bound then add_tokens(tokens_key, ARGV, 3, session.signon.exp) end
  return session_reply(session, marks_against(session))
end

-- ARGV: session id.
function operations.read()
  return state_of(ARGV[2])
end

-- ARGV: keys.
function operations.marks()
  local marks = {}
  for i = 2, #ARGV do marks_at(of_key('m', ARGV[i]), ARGV[i], marks) end
  return { 'now', text(now()), 'marks', marks_reply(marks) }
end

-- ARGV: expiry, session ids.
function operations.endSessions()
  local exp, tokens = tonumber(ARGV[2]), {}
  for i = 3, #ARGV do
    local key, tokens_key = of_session(ARGV[i])
    local session = load(key)
    set_end(session, 'x', exp)
    save(key, session)
    for _, token in ipairs(redis.call('SMEMBERS', tokens_key)) do tokens[#tokens + 1] = token end
  end
  log_sessions(ARGV, 3)
  return { 'tokens', tokens }
end

-- ARGV: session ids.
function operations.unbind()
  for i = 2, #ARGV do unbind(ARGV[i]) end
  log_sessions(ARGV, 2)
  return {}
end

-- The sessions of a logout's target, how many belong to another sub, and the latest time at which one was bound.
local function sessions_of(scope, key, sub)
  local found, mismatched, latest = {}, 0, 0
  if scope == 'token' then return found, mismatched, latest end
  local index_key = of_key('i', key)
  for _, id in ipairs(index_members(index_key)) do
    local record_key, tokens_key = of_session(id)
    local session = load(record_key)
    if not session.bound or key_of(session.signon, scope) ~= key then
      -- The index name is shared by keys that begin alike: only an entry of nobody is dead wood.
      if not session.bound then redis.call('ZREM', index_key, id) end
    elseif sub ~= '' and sub ~= session.signon.sub then
      mismatched = mismatched + 1
    else
      latest = math.max(latest, session.signon.at)
      found[#found + 1] = { id = id, key = record_key, tokens_key = tokens_key, session = session }
    end
  end
  return found, mismatched, latest
end

-- ARGV: scope, key, sub, iat, jti, its expiry, the marks' expiry, tolerance, seconds ago, whether it may finish, and the
-- prefix of the rows where they are destroyed here.
function operations.begin()
  local scope, key, sub, iat, jti, jti_exp, marks_exp, tolerance, ago, may_finish, rows = unpack(ARGV, 2, 12)
  local opened = jti ~= '' and redis.call('GET', prefix .. 'j' .. jti)
  if opened == 'completed' then return { 'replayed', 'true' } end

  local found, mismatched, latest = sessions_of(scope, key, sub)
  local seen = now() - ago
  iat, marks_exp, tolerance = tonumber(iat), tonumber(marks_exp), tonumber(tolerance)
  -- A clock that was set back must not date a logout before the logins that it ends; a late retry is meant to.
  if tonumber(ago) == 0 then seen = math.max(seen, latest) end
  if opened then
    local dates = cmsgpack.unpack(opened)
    iat, seen = dates[1], dates[2]
  end

  local entries, ids, tokens, covered = {}, {}, {}, {}
  local mark, reply = write_mark({ scope = scope, key = key, sub = sub, iat = iat, seen = seen, exp = marks_exp }, entries)
  for _, each in ipairs(found) do
    if covers(mark, each.session.signon, tolerance) then
      covered[#covered + 1], ids[#ids + 1] = each, each.id
    end
  end
  local finished = may_finish == 'true' and (rows ~= nil or #ids == 0)
  for _, each in ipairs(covered) do
    local session = each.session
    local till = math.max(marks_exp, session.signon.exp)
    set_end(session, 'x', till)
    local their = redis.call('SMEMBERS', each.tokens_key)
    for _, token in ipairs(their) do
      write_mark({ scope = 'token', key = token, sub = '', iat = iat, seen = seen, exp = till }, entries)
      tokens[#tokens + 1] = token
    end
    if finished then
      redis.call('UNLINK', rows .. each.id)
      unindex(each.id, session.signon)
      if #their > 0 then redis.call('DEL', each.tokens_key) end
      session.signon, session.bound = nil, false
    end
    save(each.key, session)
  end
  for _, id in ipairs(ids) do entries[#entries + 1] = { 's', id } end
  append_log(prefix .. 'log', entries)
  if jti ~= '' then remember_jti(jti, finished and 'completed' or cmsgpack.pack({ iat, seen }), jti_exp) end
  return {
    'mark', reply, 'ids', ids, 'tokens', tokens,
    'mismatched', tostring(mismatched), 'finished', tostring(finished),
  }
end

-- ARGV: jti, its expiry, session ids.
function operations.complete()
  for i = 4, #ARGV do unbind(ARGV[i]) end
  if ARGV[2] ~= '' then remember_jti(ARGV[2], 'completed', ARGV[3]) end
  return {}
end

-- ARGV: position in the log, time of that read, entries at most.
function operations.readLog()
  return read_log(prefix .. 'log', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
end

-- ARGV: cursor, entries at a time.
function operations.scanMarks()
  local page = redis.call('ZSCAN', prefix .. 'marks', ARGV[2], 'COUNT', ARGV[3])
  local marks = {}
  for i = 1, #page[2], 2 do marks_at(prefix .. 'm' .. page[2][i], nil, marks) end
  return { 'cursor', page[1], 'marks', marks_reply(marks) }
end
