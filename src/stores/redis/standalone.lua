-- One operation of the store in one round trip, for a Redis whose keys all live together. ARGV: prefix, operation, its
-- arguments as JSON. Runs as a whole or not at all between other commands, so no step of it is ever seen half done.
local prefix, operation, args = ARGV[1], ARGV[2], cjson.decode(ARGV[3])

-- SHA-1, because it is the one hash a Redis script has, and cut to 96 bits, because session ids are random: it only
-- keeps them out of key names.
local function of_session(kind, session_id)
  return prefix .. kind .. string.sub(redis.sha1hex(session_id), 1, 24)
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
  local session = load(of_session('s', session_id))
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

local function log_sessions(session_ids, entries)
  entries = entries or {}
  for _, id in ipairs(session_ids) do entries[#entries + 1] = { 's', id } end
  append_log(prefix .. 'log', entries)
end

-- Writes a sign-on under a session id, in place of what was bound there.
local function put(session_id, signon, tokens, lift_inherited)
  local key = of_session('s', session_id)
  local session = load(key)
  if session.bound then
    unindex(session_id, session.signon)
    log_sessions({ session_id })
  end
  if lift_inherited and session.flag == 'i' then session.flag, session.till = '', 0 end
  session.signon, session.bound = signon, true
  save(key, session)
  index(session_id, signon)
  replace_tokens(of_session('t', session_id), tokens, signon.exp)
  return session
end

local function unbind(session_id)
  local key = of_session('s', session_id)
  local session = load(key)
  if not session.bound then return end
  unindex(session_id, session.signon)
  session.signon, session.bound = nil, false
  save(key, session)
  redis.call('DEL', of_session('t', session_id))
end

local function write_mark(mark, entries)
  local merged = merge_mark(of_key('m', mark.key), mark)
  register_mark(prefix .. 'marks', string.sub(mark.key, 1, 22), merged.exp)
  entries[#entries + 1] = log_mark(merged)
  return merged
end

local operations = {}

function operations.bind()
  local at = after_logouts(now, marks_at(of_key('m', args.sub), args.sub, {}))
  local signon = { sub = args.sub, sid = args.sid or '', iat = args.iat or '', at = at, exp = args.exp }
  local session = put(args.id, signon, args.tokens, true)
  local reply = session_reply(session, marks_against(session))
  reply.signon = signon_reply(signon)
  return reply
end

function operations.rebind()
  local from_key, to_key = of_session('s', args.from), of_session('s', args.to)
  local from = load(from_key)
  local inherits = from.flag == 'x' or from.flag == 'i'
  local signon = from.signon
  if signon then
    local moved = { sub = signon.sub, sid = signon.sid, iat = signon.iat, at = signon.at }
    moved.exp = math.max(signon.exp, args.exp)
    local tokens_key = of_session('t', args.from)
    put(args.to, moved, redis.call('SMEMBERS', tokens_key))
    if from.bound then unindex(args.from, signon) end
    from.bound = false
    if inherits then
      from.signon = nil
      redis.call('DEL', tokens_key)
    else
      set_end(from, 'm', moved.exp)
      keep_until(tokens_key, from.till)
    end
    save(from_key, from)
    log_sessions({ args.from })
  end
  if inherits then
    local to = load(to_key)
    if to.flag == '' then
      set_end(to, 'i', math.max(from.till, args.exp))
      save(to_key, to)
      log_sessions({ args.to })
    end
  end
  return state_of(args.to)
end

function operations.renew()
  local key = of_session('s', args.id)
  local session = load(key)
  if not session.bound or session.signon.exp >= args.exp then return {} end
  session.signon.exp = args.exp
  save(key, session)
  index(args.id, session.signon)
  keep_until(of_session('t', args.id), args.exp)
  return {}
end

function operations.addTokens()
  local session = load(of_session('s', args.id))
  if session.bound then add_tokens(of_session('t', args.id), args.tokens, session.signon.exp) end
  return session_reply(session, marks_against(session))
end

function operations.read()
  return state_of(args.id)
end

function operations.marks()
  local marks = {}
  for _, key in ipairs(args.keys) do marks_at(of_key('m', key), key, marks) end
  return { now = text(now), marks = marks_reply(marks) }
end

function operations.endSessions()
  local tokens = {}
  for _, id in ipairs(args.ids) do
    local key = of_session('s', id)
    local session = load(key)
    set_end(session, 'x', args.exp)
    save(key, session)
    for _, token in ipairs(redis.call('SMEMBERS', of_session('t', id))) do tokens[#tokens + 1] = token end
  end
  log_sessions(args.ids)
  return { tokens = tokens }
end

function operations.unbind()
  for _, id in ipairs(args.ids) do unbind(id) end
  log_sessions(args.ids)
  return {}
end

local function remember_jti(jti, value, till)
  redis.call('SET', prefix .. 'j' .. jti, value, 'PXAT', milliseconds(till))
end

function operations.begin()
  local opened = args.jti and redis.call('GET', prefix .. 'j' .. args.jti)
  if opened == 'completed' then return { replayed = true } end

  local found, mismatched, seen = {}, 0, now - args.ago
  local index_key = of_key('i', args.key)
  for _, id in ipairs(args.scope == 'token' and {} or index_members(index_key)) do
    local session = load(of_session('s', id))
    if not session.bound or key_of(session.signon, args.scope) ~= args.key then
      -- The index name is shared by keys that begin alike: only an entry of nobody is dead wood.
      if not session.bound then redis.call('ZREM', index_key, id) end
    elseif args.sub ~= '' and args.sub ~= session.signon.sub then
      mismatched = mismatched + 1
    else
      -- A clock that was set back must not date a logout before the logins that it ends; a late retry is meant to.
      if args.ago == 0 then seen = math.max(seen, session.signon.at) end
      found[#found + 1] = { id = id, session = session }
    end
  end

  local iat = args.iat
  if opened then
    local dates = cmsgpack.unpack(opened)
    iat, seen = dates[1], dates[2]
  end
  if args.jti then remember_jti(args.jti, cmsgpack.pack({ iat, seen }), args.jtiExp) end

  local entries = {}
  local mark = { scope = args.scope, key = args.key, sub = args.sub, iat = iat, seen = seen, exp = args.marksExp }
  mark = write_mark(mark, entries)
  local ids, tokens = {}, {}
  for _, each in ipairs(found) do
    if covers(mark, each.session.signon, args.tolerance) then
      local till = math.max(args.marksExp, each.session.signon.exp)
      set_end(each.session, 'x', till)
      save(of_session('s', each.id), each.session)
      for _, token in ipairs(redis.call('SMEMBERS', of_session('t', each.id))) do
        write_mark({ scope = 'token', key = token, sub = '', iat = iat, seen = seen, exp = till }, entries)
        tokens[#tokens + 1] = token
      end
      ids[#ids + 1] = each.id
    end
  end
  log_sessions(ids, entries)

  local finished = args.mayFinish and (args.sessionPrefix ~= nil or #ids == 0)
  if finished then
    for _, id in ipairs(ids) do
      redis.call('UNLINK', args.sessionPrefix .. id)
      unbind(id)
    end
    if args.jti then remember_jti(args.jti, 'completed', args.jtiExp) end
  end
  return { replayed = false, mark = mark_reply(mark), ids = ids, tokens = tokens, mismatched = mismatched, finished = finished }
end

function operations.complete()
  for _, id in ipairs(args.ids) do unbind(id) end
  if args.jti then remember_jti(args.jti, 'completed', args.jtiExp) end
  return {}
end

function operations.readLog()
  return read_log(prefix .. 'log', args.after, args.readAt, args.count)
end

function operations.scanMarks()
  local page = redis.call('ZSCAN', prefix .. 'marks', args.cursor, 'COUNT', args.count)
  local marks = {}
  for i = 1, #page[2], 2 do marks_at(prefix .. 'm' .. page[2][i], nil, marks) end
  return { cursor = page[1], marks = marks_reply(marks) }
end

return cjson.encode(operations[operation]())
