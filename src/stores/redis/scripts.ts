// The Lua of this folder as text; written by test/stores/embed.ts, which a test compares. Change the .lua files instead.

export const STANDALONE_SCRIPT = `-- What every script shares: the clock, the records of sessions, the entries of indexes, marks and the log. Each function
-- works on the keys of one slot; none knows which others there are.

-- Readers that fell further behind than this reload all marks.
local LOG_SECONDS = 300

local function text(number)
  return string.format('%.17g', number)
end

local function milliseconds(time)
  return string.format('%.0f', math.ceil(time * 1000))
end

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local now = clock()

-- Moves a key's end later, never earlier.
local function keep_until(key, time)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and now * 1000 + left < time * 1000) then
    redis.call('PEXPIREAT', key, milliseconds(time))
  end
end

-- One record for each session id: { sub, sid, iat, bound at, expires at [, end, end kept until, is bound] }.
-- The end is 'x' (ended), 'i' (inherited) or 'm' (moved on; the sign-on is kept for whoever else is regenerated from it).
-- MessagePack: length-safe, and half the size of text with field names.
local function load(key)
  local session = { bound = false, flag = '', till = 0 }
  local packed = redis.call('GET', key)
  if not packed then return session end
  local r = cmsgpack.unpack(packed)
  if r[6] and r[7] > now then
    session.flag, session.till = r[6], r[7]
  end
  local bound = r[1] ~= '' and r[8] ~= 0
  if (bound and r[5] > now) or (r[1] ~= '' and not bound and session.flag == 'm') then
    session.bound = bound
    session.signon = { sub = r[1], sid = r[2], iat = r[3], at = r[4], exp = r[5] }
  end
  return session
end

local function save(key, session)
  local r, till = { '', '', '', 0, 0 }, 0
  local signon = session.signon
  if signon then r = { signon.sub, signon.sid, signon.iat, signon.at, signon.exp } end
  if session.bound then till = signon.exp end
  if session.flag ~= '' then
    r[6], r[7], r[8] = session.flag, session.till, session.bound and 1 or 0
    till = math.max(till, session.till)
  end
  if till <= now then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(r), 'PXAT', milliseconds(till))
  end
end

local function set_end(session, flag, till)
  session.flag, session.till = flag, math.max(till, session.till)
  if flag ~= 'm' and not session.bound then session.signon = nil end
end

local function add_tokens(key, tokens, till)
  for _, token in ipairs(tokens or {}) do redis.call('SADD', key, token) end
  keep_until(key, till)
end

local function replace_tokens(key, tokens, till)
  redis.call('DEL', key)
  add_tokens(key, tokens, till)
end

local function index_add(key, session_id, till)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  redis.call('ZADD', key, string.format('%.0f', math.ceil(till)), session_id)
  keep_until(key, math.ceil(till))
end

local function index_members(key)
  return redis.call('ZRANGEBYSCORE', key, '(' .. text(now), '+inf')
end

local function key_of(signon, scope)
  if scope == 'sid' then return signon.sid end
  return signon.sub
end

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
local function covers(mark, signon, tolerance)
  if mark.sub ~= '' and mark.sub ~= signon.sub then return false end
  if signon.iat == '' then return true end
  local within = signon.iat <= mark.iat + tolerance
  if mark.scope == 'sid' then return within end
  return signon.iat <= mark.iat or (within and signon.at <= mark.seen)
end

-- Marks of one key lie in one hash, a field for each sub that was named with it. Key names are cut short to save memory,
-- so the field holds the whole key.
local function marks_at(hash, key, into)
  local fields = redis.call('HGETALL', hash)
  for i = 1, #fields, 2 do
    local of = cmsgpack.unpack(fields[i])
    local dates = cmsgpack.unpack(fields[i + 1])
    if (key == nil or of[1] == key) and dates[4] > now then
      into[#into + 1] = { scope = dates[1], key = of[1], sub = of[2], iat = dates[2], seen = dates[3], exp = dates[4] }
    end
  end
  return into
end

-- Two marks of one target become the greater by (iat, seen), whole; the expiry is the later of both.
local function merge_mark(hash, mark)
  local field = cmsgpack.pack({ mark.key, mark.sub })
  local packed = redis.call('HGET', hash, field)
  local merged = mark
  if packed then
    local d = cmsgpack.unpack(packed)
    if d[4] > now then
      if not (mark.iat > d[2] or (mark.iat == d[2] and mark.seen > d[3])) then
        merged = { scope = d[1], key = mark.key, sub = mark.sub, iat = d[2], seen = d[3], exp = d[4] }
      end
      merged.exp = math.max(mark.exp, d[4])
    end
  end
  redis.call('HSET', hash, field, cmsgpack.pack({ merged.scope, merged.iat, merged.seen, merged.exp }))
  keep_until(hash, merged.exp)
  return merged
end

-- A login dated by the same clock tick as an earlier logout is still known to be the later one.
local function after_logouts(time, marks)
  for _, mark in ipairs(marks) do
    if mark.scope == 'sub' then time = math.max(time, mark.seen + 1e-6) end
  end
  return time
end

-- Which hashes hold live marks: only for readers that have to start afresh.
local function register_mark(registry, id, till)
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', text(now))
  redis.call('ZADD', registry, 'GT', text(till), id)
  keep_until(registry, till)
end

local function append_log(log, entries)
  local from = milliseconds(now - LOG_SECONDS)
  for first = 1, #entries, 500 do
    local command = { 'XADD', log, 'MINID', '~', from, '*' }
    for i = first, math.min(first + 499, #entries) do
      command[#command + 1] = entries[i][1]
      command[#command + 1] = entries[i][2]
    end
    redis.call(unpack(command))
  end
  if #entries > 0 then
    keep_until(log, now + LOG_SECONDS)
    -- The doorbell; whoever misses it reads the log a little later.
    redis.call('PUBLISH', log, '')
  end
end

-- Replies are JSON; numbers go as text, since JSON numbers of Redis have 14 digits and a time in microseconds has 16.
local function mark_reply(mark)
  return { mark.scope, mark.key, mark.sub, text(mark.iat), text(mark.seen), text(mark.exp) }
end

local function marks_reply(marks)
  local reply = {}
  for i, mark in ipairs(marks) do reply[i] = mark_reply(mark) end
  return reply
end

local function signon_reply(signon)
  local iat = signon.iat == '' and '' or text(signon.iat)
  return { signon.sub, signon.sid, iat, text(signon.at), text(signon.exp) }
end

local function session_reply(session, marks)
  local signon = session.bound and signon_reply(session.signon) or nil
  return { ended = session.flag ~= '', signon = signon, marks = marks_reply(marks) }
end

local function log_mark(mark)
  return { 'm', cjson.encode(mark_reply(mark)) }
end

-- The log after a cursor (an id of the stream and the time of that read), or that this cursor cannot be followed.
local function read_log(log, after, read_at, count)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  local last_id = last and last[1] or after
  local reply = { now = text(now), last = last_id, lost = false, entries = {} }
  if after == '' then
    reply.last = last and last[1] or '0-0'
    return reply
  end
  local lost_since = last and tonumber(string.match(last[1], '^%d+')) < tonumber(string.match(after, '^%d+'))
  if lost_since or now - read_at > LOG_SECONDS / 2 then
    reply.lost = true
    return reply
  end
  local entries = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count)
  reply.last = after
  for _, entry in ipairs(entries) do
    reply.last = entry[1]
    for _, value in ipairs(entry[2]) do reply.entries[#reply.entries + 1] = value end
  end
  reply.more = #entries == count
  return reply
end
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
`

export const CLUSTER_SCRIPT = `-- What every script shares: the clock, the records of sessions, the entries of indexes, marks and the log. Each function
-- works on the keys of one slot; none knows which others there are.

-- Readers that fell further behind than this reload all marks.
local LOG_SECONDS = 300

local function text(number)
  return string.format('%.17g', number)
end

local function milliseconds(time)
  return string.format('%.0f', math.ceil(time * 1000))
end

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local now = clock()

-- Moves a key's end later, never earlier.
local function keep_until(key, time)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and now * 1000 + left < time * 1000) then
    redis.call('PEXPIREAT', key, milliseconds(time))
  end
end

-- One record for each session id: { sub, sid, iat, bound at, expires at [, end, end kept until, is bound] }.
-- The end is 'x' (ended), 'i' (inherited) or 'm' (moved on; the sign-on is kept for whoever else is regenerated from it).
-- MessagePack: length-safe, and half the size of text with field names.
local function load(key)
  local session = { bound = false, flag = '', till = 0 }
  local packed = redis.call('GET', key)
  if not packed then return session end
  local r = cmsgpack.unpack(packed)
  if r[6] and r[7] > now then
    session.flag, session.till = r[6], r[7]
  end
  local bound = r[1] ~= '' and r[8] ~= 0
  if (bound and r[5] > now) or (r[1] ~= '' and not bound and session.flag == 'm') then
    session.bound = bound
    session.signon = { sub = r[1], sid = r[2], iat = r[3], at = r[4], exp = r[5] }
  end
  return session
end

local function save(key, session)
  local r, till = { '', '', '', 0, 0 }, 0
  local signon = session.signon
  if signon then r = { signon.sub, signon.sid, signon.iat, signon.at, signon.exp } end
  if session.bound then till = signon.exp end
  if session.flag ~= '' then
    r[6], r[7], r[8] = session.flag, session.till, session.bound and 1 or 0
    till = math.max(till, session.till)
  end
  if till <= now then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(r), 'PXAT', milliseconds(till))
  end
end

local function set_end(session, flag, till)
  session.flag, session.till = flag, math.max(till, session.till)
  if flag ~= 'm' and not session.bound then session.signon = nil end
end

local function add_tokens(key, tokens, till)
  for _, token in ipairs(tokens or {}) do redis.call('SADD', key, token) end
  keep_until(key, till)
end

local function replace_tokens(key, tokens, till)
  redis.call('DEL', key)
  add_tokens(key, tokens, till)
end

local function index_add(key, session_id, till)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  redis.call('ZADD', key, string.format('%.0f', math.ceil(till)), session_id)
  keep_until(key, math.ceil(till))
end

local function index_members(key)
  return redis.call('ZRANGEBYSCORE', key, '(' .. text(now), '+inf')
end

local function key_of(signon, scope)
  if scope == 'sid' then return signon.sid end
  return signon.sub
end

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
local function covers(mark, signon, tolerance)
  if mark.sub ~= '' and mark.sub ~= signon.sub then return false end
  if signon.iat == '' then return true end
  local within = signon.iat <= mark.iat + tolerance
  if mark.scope == 'sid' then return within end
  return signon.iat <= mark.iat or (within and signon.at <= mark.seen)
end

-- Marks of one key lie in one hash, a field for each sub that was named with it. Key names are cut short to save memory,
-- so the field holds the whole key.
local function marks_at(hash, key, into)
  local fields = redis.call('HGETALL', hash)
  for i = 1, #fields, 2 do
    local of = cmsgpack.unpack(fields[i])
    local dates = cmsgpack.unpack(fields[i + 1])
    if (key == nil or of[1] == key) and dates[4] > now then
      into[#into + 1] = { scope = dates[1], key = of[1], sub = of[2], iat = dates[2], seen = dates[3], exp = dates[4] }
    end
  end
  return into
end

-- Two marks of one target become the greater by (iat, seen), whole; the expiry is the later of both.
local function merge_mark(hash, mark)
  local field = cmsgpack.pack({ mark.key, mark.sub })
  local packed = redis.call('HGET', hash, field)
  local merged = mark
  if packed then
    local d = cmsgpack.unpack(packed)
    if d[4] > now then
      if not (mark.iat > d[2] or (mark.iat == d[2] and mark.seen > d[3])) then
        merged = { scope = d[1], key = mark.key, sub = mark.sub, iat = d[2], seen = d[3], exp = d[4] }
      end
      merged.exp = math.max(mark.exp, d[4])
    end
  end
  redis.call('HSET', hash, field, cmsgpack.pack({ merged.scope, merged.iat, merged.seen, merged.exp }))
  keep_until(hash, merged.exp)
  return merged
end

-- A login dated by the same clock tick as an earlier logout is still known to be the later one.
local function after_logouts(time, marks)
  for _, mark in ipairs(marks) do
    if mark.scope == 'sub' then time = math.max(time, mark.seen + 1e-6) end
  end
  return time
end

-- Which hashes hold live marks: only for readers that have to start afresh.
local function register_mark(registry, id, till)
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', text(now))
  redis.call('ZADD', registry, 'GT', text(till), id)
  keep_until(registry, till)
end

local function append_log(log, entries)
  local from = milliseconds(now - LOG_SECONDS)
  for first = 1, #entries, 500 do
    local command = { 'XADD', log, 'MINID', '~', from, '*' }
    for i = first, math.min(first + 499, #entries) do
      command[#command + 1] = entries[i][1]
      command[#command + 1] = entries[i][2]
    end
    redis.call(unpack(command))
  end
  if #entries > 0 then
    keep_until(log, now + LOG_SECONDS)
    -- The doorbell; whoever misses it reads the log a little later.
    redis.call('PUBLISH', log, '')
  end
end

-- Replies are JSON; numbers go as text, since JSON numbers of Redis have 14 digits and a time in microseconds has 16.
local function mark_reply(mark)
  return { mark.scope, mark.key, mark.sub, text(mark.iat), text(mark.seen), text(mark.exp) }
end

local function marks_reply(marks)
  local reply = {}
  for i, mark in ipairs(marks) do reply[i] = mark_reply(mark) end
  return reply
end

local function signon_reply(signon)
  local iat = signon.iat == '' and '' or text(signon.iat)
  return { signon.sub, signon.sid, iat, text(signon.at), text(signon.exp) }
end

local function session_reply(session, marks)
  local signon = session.bound and signon_reply(session.signon) or nil
  return { ended = session.flag ~= '', signon = signon, marks = marks_reply(marks) }
end

local function log_mark(mark)
  return { 'm', cjson.encode(mark_reply(mark)) }
end

-- The log after a cursor (an id of the stream and the time of that read), or that this cursor cannot be followed.
local function read_log(log, after, read_at, count)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  local last_id = last and last[1] or after
  local reply = { now = text(now), last = last_id, lost = false, entries = {} }
  if after == '' then
    reply.last = last and last[1] or '0-0'
    return reply
  end
  local lost_since = last and tonumber(string.match(last[1], '^%d+')) < tonumber(string.match(after, '^%d+'))
  if lost_since or now - read_at > LOG_SECONDS / 2 then
    reply.lost = true
    return reply
  end
  local entries = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count)
  reply.last = after
  for _, entry in ipairs(entries) do
    reply.last = entry[1]
    for _, value in ipairs(entry[2]) do reply.entries[#reply.entries + 1] = value end
  end
  reply.more = #entries == count
  return reply
end
-- One step of an operation, for a Redis whose keys live apart: every key of a step shares one slot, and the order of
-- steps (cluster-store.ts) does what atomicity does elsewhere. ARGV: step, its arguments as JSON. KEYS as each step says.
local step, args = ARGV[1], cjson.decode(ARGV[2])
local steps = {}

-- KEYS: any.
function steps.clock()
  return { now = text(now) }
end

-- KEYS: index, marks of the same key.
function steps.index()
  index_add(KEYS[1], args.id, args.exp)
  return { at = text(after_logouts(now, marks_at(KEYS[2], args.key, {}))) }
end

-- KEYS: index.
function steps.unindex()
  redis.call('ZREM', KEYS[1], args.id)
  return {}
end

-- KEYS: session, tokens.
function steps.put()
  local session = load(KEYS[1])
  local replaced = session.bound
  if args.liftInherited and session.flag == 'i' then session.flag, session.till = '', 0 end
  local s = args.signon
  session.signon = { sub = s.sub, sid = s.sid or '', iat = s.iat or '', at = s.at, exp = s.exp }
  session.bound = true
  save(KEYS[1], session)
  replace_tokens(KEYS[2], args.tokens, s.exp)
  return { ended = session.flag ~= '', replaced = replaced }
end

-- KEYS: session, tokens. With the sign-on that an id which was left behind still remembers.
function steps.look()
  local session = load(KEYS[1])
  local reply = session_reply(session, {})
  reply.signon = session.signon and signon_reply(session.signon) or nil
  reply.bound, reply.flag, reply.till = session.bound, session.flag, text(session.till)
  reply.tokens = redis.call('SMEMBERS', KEYS[2])
  return reply
end

-- KEYS: session, tokens. Leaves the id behind if its sign-on is still the one that was carried on.
function steps.leave()
  local session = load(KEYS[1])
  local reply = { changed = false, flag = session.flag, till = text(session.till), tokens = {} }
  local signon = session.signon
  if not signon then return reply end
  if signon.at ~= args.at or signon.sub ~= args.sub or signon.sid ~= args.sid or signon.exp > args.exp then
    reply.changed = true
    return reply
  end
  reply.tokens = redis.call('SMEMBERS', KEYS[2])
  session.bound = false
  if session.flag == 'x' or session.flag == 'i' then
    session.signon = nil
    redis.call('DEL', KEYS[2])
  else
    set_end(session, 'm', args.exp)
    keep_until(KEYS[2], session.till)
  end
  save(KEYS[1], session)
  return reply
end

-- KEYS: session.
function steps.inherit()
  local session = load(KEYS[1])
  if session.flag == '' then
    set_end(session, 'i', args.exp)
    save(KEYS[1], session)
  end
  return {}
end

-- KEYS: session, tokens.
function steps.renew()
  local session = load(KEYS[1])
  if not session.bound or session.signon.exp >= args.exp then return {} end
  session.signon.exp = args.exp
  save(KEYS[1], session)
  keep_until(KEYS[2], args.exp)
  return { signon = signon_reply(session.signon) }
end

-- KEYS: session, tokens.
function steps.addTokens()
  local session = load(KEYS[1])
  if session.bound then add_tokens(KEYS[2], args.tokens, session.signon.exp) end
  return {}
end

-- KEYS: session, tokens.
function steps.finish()
  local session = load(KEYS[1])
  set_end(session, 'x', args.exp)
  save(KEYS[1], session)
  return { tokens = redis.call('SMEMBERS', KEYS[2]) }
end

-- KEYS: session, tokens. Ends the session if it is the target's and the mark covers it.
function steps.finishCovered()
  local session = load(KEYS[1])
  local signon = session.signon
  if not session.bound or key_of(signon, args.scope) ~= args.key then return { outcome = 'none' } end
  if args.sub ~= '' and args.sub ~= signon.sub then return { outcome = 'mismatched' } end
  if not covers(args, signon, args.tolerance) then return { outcome = 'none' } end
  local till = math.max(args.marksExp, signon.exp)
  set_end(session, 'x', till)
  save(KEYS[1], session)
  return { outcome = 'covered', till = text(till), tokens = redis.call('SMEMBERS', KEYS[2]) }
end

-- KEYS: session, tokens.
function steps.unbind()
  local session = load(KEYS[1])
  if not session.bound then return {} end
  local reply = { flag = session.flag, signon = signon_reply(session.signon) }
  session.signon, session.bound = nil, false
  save(KEYS[1], session)
  redis.call('DEL', KEYS[2])
  return reply
end

-- KEYS: marks, index of the same key. Writes the mark, then looks.
function steps.mark()
  local mark = merge_mark(KEYS[1], args)
  return { mark = mark_reply(mark), ids = args.scope == 'token' and {} or index_members(KEYS[2]) }
end

-- KEYS: marks.
function steps.marks()
  return { now = text(now), marks = marks_reply(marks_at(KEYS[1], args.key, {})) }
end

-- KEYS: jti.
function steps.open()
  local opened = redis.call('GET', KEYS[1])
  if opened == 'completed' then return { replayed = true } end
  local iat, seen = args.iat, args.seen
  if opened then
    local dates = cmsgpack.unpack(opened)
    iat, seen = dates[1], dates[2]
  end
  redis.call('SET', KEYS[1], cmsgpack.pack({ iat, seen }), 'PXAT', milliseconds(args.exp))
  return { replayed = false, iat = text(iat), seen = text(seen) }
end

-- KEYS: jti.
function steps.close()
  redis.call('SET', KEYS[1], 'completed', 'PXAT', milliseconds(args.exp))
  return {}
end

-- KEYS: registry.
function steps.register()
  register_mark(KEYS[1], args.id, args.exp)
  return {}
end

-- KEYS: registry.
function steps.scanRegistry()
  local page = redis.call('ZSCAN', KEYS[1], args.cursor, 'COUNT', args.count)
  local ids = {}
  for i = 1, #page[2], 2 do ids[#ids + 1] = page[2][i] end
  return { cursor = page[1], ids = ids }
end

-- KEYS: log.
function steps.append()
  append_log(KEYS[1], args.entries)
  return {}
end

-- KEYS: log.
function steps.readLog()
  return read_log(KEYS[1], args.after, args.readAt, args.count)
end

return cjson.encode(steps[step]())
`
