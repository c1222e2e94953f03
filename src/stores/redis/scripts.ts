// The Lua of this folder as text; written by test/stores/embed.ts, which a test compares. Change the .lua files instead.
// biome-ignore-all format: a list of names is easier to read on one line.

const LOG_SECONDS = `local LOG_SECONDS = 300`

const SPARE_SECONDS = `local SPARE_SECONDS = 60`

const whole = `local function whole(number)
  return string.format('%d', number)
end`

const text = `local function text(number)
  return number % 1 == 0 and whole(number) or string.format('%.17g', number)
end`

const milliseconds = `local function milliseconds(time)
  return whole(math.ceil(time * 1000))
end`

const clock = `local clock`

const now = `local function now()
  if not clock then
    local time = redis.call('TIME')
    clock = tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
  return clock
end`

const ends_before = `local function ends_before(left, time)
  return left < 0 or now() * 1000 + left < time * 1000
end`

const keep_until = `local function keep_until(key, time)
  if ends_before(redis.call('PTTL', key), time) then redis.call('PEXPIREAT', key, milliseconds(time)) end
end`

const load = `local function load(key)
  local session = { bound = false, flag = '', till = 0 }
  local packed = redis.call('GET', key)
  if not packed then return session end
  local r = cmsgpack.unpack(packed)
  if r[6] and r[7] > now() then
    session.flag, session.till = r[6], r[7]
  end
  local bound = r[1] ~= '' and r[8] ~= 0
  if (bound and r[5] > now()) or (r[1] ~= '' and not bound and session.flag == 'm') then
    session.bound = bound
    session.signon = { sub = r[1], sid = r[2], iat = r[3], at = r[4], exp = r[5] }
  end
  return session
end`

const save = `local function save(key, session)
  local r, till = { '', '', '', 0, 0 }, 0
  local signon = session.signon
  if signon then r = { signon.sub, signon.sid, signon.iat, signon.at, signon.exp } end
  if session.bound then till = signon.exp end
  if session.flag ~= '' then
    r[6], r[7], r[8] = session.flag, session.till, session.bound and 1 or 0
    till = math.max(till, session.till)
  end
  if till <= now() then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(r), 'PXAT', milliseconds(till))
  end
end`

const set_end = `local function set_end(session, flag, till)
  session.flag, session.till = flag, math.max(till, session.till)
  if flag ~= 'm' and not session.bound then session.signon = nil end
end`

const add_tokens = `local function add_tokens(key, list, first, till)
  if #list < first then return end
  for i = first, #list do redis.call('SADD', key, list[i]) end
  keep_until(key, till)
end`

const replace_tokens = `local function replace_tokens(key, list, first, till)
  redis.call('DEL', key)
  add_tokens(key, list, first, till)
end`

const index_add = `local function index_add(key, session_id, till)
  local left, score = redis.call('PTTL', key), math.ceil(till)
  redis.call('ZADD', key, whole(score), session_id)
  -- Afterwards: an index that was pruned to nothing would start again without an end.
  if left >= 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(math.floor(now()))) end
  if ends_before(left, score) then redis.call('PEXPIREAT', key, milliseconds(score)) end
end`

const index_members = `local function index_members(key)
  return redis.call('ZRANGEBYSCORE', key, '(' .. whole(math.floor(now())), '+inf')
end`

const key_of = `local function key_of(signon, scope)
  if scope == 'sid' then return signon.sid end
  return signon.sub
end`

const covers = `local function covers(mark, signon, tolerance)
  if mark.sub ~= '' and mark.sub ~= signon.sub then return false end
  if signon.iat == '' then return true end
  local within = signon.iat <= mark.iat + tolerance
  if mark.scope == 'sid' then return within end
  return signon.iat <= mark.iat or (within and signon.at <= mark.seen)
end`

const marks_at = `local function marks_at(hash, key, into)
  local fields = redis.call('HGETALL', hash)
  for i = 1, #fields, 2 do
    local of = cmsgpack.unpack(fields[i])
    local dates = cmsgpack.unpack(fields[i + 1])
    if (key == nil or of[1] == key) and dates[4] > now() then
      into[#into + 1] = { scope = dates[1], key = of[1], sub = of[2], iat = dates[2], seen = dates[3], exp = dates[4] }
    end
  end
  return into
end`

const merge_mark = `local function merge_mark(hash, mark)
  local field, merged = cmsgpack.pack({ mark.key, mark.sub }), mark
  local left = redis.call('PTTL', hash)
  local packed = left ~= -2 and redis.call('HGET', hash, field)
  if packed then
    local d = cmsgpack.unpack(packed)
    if d[4] > now() then
      if not (mark.iat > d[2] or (mark.iat == d[2] and mark.seen > d[3])) then
        merged = { scope = d[1], key = mark.key, sub = mark.sub, iat = d[2], seen = d[3], exp = d[4] }
      end
      merged.exp = math.max(mark.exp, d[4])
    end
  end
  redis.call('HSET', hash, field, cmsgpack.pack({ merged.scope, merged.iat, merged.seen, merged.exp }))
  if ends_before(left, merged.exp) then redis.call('PEXPIREAT', hash, milliseconds(merged.exp)) end
  return merged
end`

const after_logouts = `local function after_logouts(time, marks)
  for _, mark in ipairs(marks) do
    if mark.scope == 'sub' then time = math.max(time, mark.seen + 1e-6) end
  end
  return time
end`

const register_mark = `local function register_mark(registry, id, till)
  redis.call('ZADD', registry, 'GT', whole(math.ceil(till)), id)
  if ends_before(redis.call('PTTL', registry), till) then
    redis.call('ZREMRANGEBYSCORE', registry, '-inf', whole(math.floor(now())))
    redis.call('PEXPIREAT', registry, milliseconds(till + SPARE_SECONDS))
  end
end`

const append_log = `local function append_log(log, entries)
  local from = milliseconds(now() - LOG_SECONDS)
  for first = 1, #entries, 500 do
    local command = { 'XADD', log, 'MINID', '~', from, '*' }
    for i = first, math.min(first + 499, #entries) do
      command[#command + 1] = entries[i][1]
      command[#command + 1] = entries[i][2]
    end
    redis.call(unpack(command))
  end
  if #entries > 0 then
    if ends_before(redis.call('PTTL', log), now() + LOG_SECONDS) then
      redis.call('PEXPIREAT', log, milliseconds(now() + LOG_SECONDS + SPARE_SECONDS))
    end
    -- The doorbell; whoever misses it reads the log a little later.
    -- A user who may not publish has no doorbell, and still a logout.
    redis.pcall('PUBLISH', log, '')
  end
end`

const mark_reply = `local function mark_reply(mark)
  return { mark.scope, mark.key, mark.sub, text(mark.iat), text(mark.seen), text(mark.exp) }
end`

const marks_reply = `local function marks_reply(marks)
  local reply = {}
  for i, mark in ipairs(marks) do reply[i] = mark_reply(mark) end
  return reply
end`

const signon_reply = `local function signon_reply(signon)
  local iat = signon.iat == '' and '' or text(signon.iat)
  return { signon.sub, signon.sid, iat, text(signon.at), text(signon.exp) }
end`

const session_reply = `local function session_reply(session, marks)
  local reply = { 'ended', tostring(session.flag ~= ''), 'marks', marks_reply(marks) }
  if session.bound then reply[5], reply[6] = 'signon', signon_reply(session.signon) end
  return reply
end`

const read_log = `local function read_log(log, after, read_at, count)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if after == '' then return { 'now', text(now()), 'last', last and last[1] or '0-0' } end
  local lost_since = last and tonumber(string.match(last[1], '^%d+')) < tonumber(string.match(after, '^%d+'))
  if lost_since or now() - read_at > LOG_SECONDS / 2 then
    return { 'now', text(now()), 'last', after, 'lost', 'true' }
  end
  local entries, flat = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count), {}
  for _, entry in ipairs(entries) do
    after = entry[1]
    for _, value in ipairs(entry[2]) do flat[#flat + 1] = value end
  end
  return { 'now', text(now()), 'last', after, 'entries', flat, 'more', tostring(#entries == count) }
end`

const prefix = `local prefix = ARGV[1]`

const of_session = `local function of_session(session_id)
  local name = string.sub(redis.sha1hex(session_id), 1, 24)
  return prefix .. 's' .. name, prefix .. 't' .. name
end`

const of_key = `local function of_key(kind, key)
  return prefix .. kind .. string.sub(key, 1, 22)
end`

const marks_against = `local function marks_against(session)
  local marks = {}
  if not session.bound then return marks end
  local signon = session.signon
  if signon.sid ~= '' then marks_at(of_key('m', signon.sid), signon.sid, marks) end
  return marks_at(of_key('m', signon.sub), signon.sub, marks)
end`

const state_of = `local function state_of(session_id)
  local key = of_session(session_id)
  local session = load(key)
  return session_reply(session, marks_against(session))
end`

const index = `local function index(session_id, signon)
  index_add(of_key('i', signon.sub), session_id, signon.exp)
  if signon.sid ~= '' then index_add(of_key('i', signon.sid), session_id, signon.exp) end
end`

const unindex = `local function unindex(session_id, signon)
  redis.call('ZREM', of_key('i', signon.sub), session_id)
  if signon.sid ~= '' then redis.call('ZREM', of_key('i', signon.sid), session_id) end
end`

const log_sessions = `local function log_sessions(list, first)
  local entries = {}
  for i = first, #list do entries[#entries + 1] = { 's', list[i] } end
  append_log(prefix .. 'log', entries)
end`

const put = `local function put(session_id, signon, list, first, lift_inherited)
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
end`

const unbind = `local function unbind(session_id)
  local key, tokens_key = of_session(session_id)
  local session = load(key)
  if not session.bound then return end
  unindex(session_id, session.signon)
  session.signon, session.bound = nil, false
  save(key, session)
  redis.call('DEL', tokens_key)
end`

const write_mark = `local function write_mark(mark, entries)
  local merged = merge_mark(of_key('m', mark.key), mark)
  register_mark(prefix .. 'marks', string.sub(mark.key, 1, 22), merged.exp)
  local reply = mark_reply(merged)
  entries[#entries + 1] = { 'm', cjson.encode(reply) }
  return merged, reply
end`

const remember_jti = `local function remember_jti(jti, value, till)
  redis.call('SET', prefix .. 'j' .. jti, value, 'PXAT', milliseconds(till))
end`

const sessions_of = `local function sessions_of(scope, key, sub)
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
end`

const args = `local args = cjson.decode(ARGV[1])`

export const STANDALONE_SCRIPTS = {
  bind: [LOG_SECONDS, SPARE_SECONDS, whole, text, milliseconds, clock, now, ends_before, keep_until, load, save, add_tokens, replace_tokens, index_add, marks_at, after_logouts, append_log, mark_reply, marks_reply, prefix, of_session, of_key, index, unindex, log_sessions, put, `local function run()
  local id, sub, sid, iat, exp = unpack(ARGV, 2, 6)
  local by_sub = marks_at(of_key('m', sub), sub, {})
  local at = after_logouts(now(), by_sub)
  local signon = { sub = sub, sid = sid, iat = tonumber(iat) or '', at = at, exp = tonumber(exp) }
  local session = put(id, signon, ARGV, 7, true)
  -- Nothing comes between: the marks of the sub are still the same.
  local marks = sid ~= '' and marks_at(of_key('m', sid), sid, by_sub) or by_sub
  return { 'ended', tostring(session.flag ~= ''), 'at', text(at), 'marks', marks_reply(marks) }
end
return run()
`].join('\n'),
  rebind: [LOG_SECONDS, SPARE_SECONDS, whole, text, milliseconds, clock, now, ends_before, keep_until, load, save, set_end, add_tokens, replace_tokens, index_add, marks_at, append_log, mark_reply, marks_reply, signon_reply, session_reply, prefix, of_session, of_key, marks_against, state_of, index, unindex, log_sessions, put, `local function run()
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
return run()
`].join('\n'),
  renew: [whole, milliseconds, clock, now, ends_before, keep_until, load, save, index_add, prefix, of_session, of_key, index, `local function run()
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
return run()
`].join('\n'),
  addTokens: [whole, text, milliseconds, clock, now, ends_before, keep_until, load, add_tokens, marks_at, mark_reply, marks_reply, signon_reply, session_reply, prefix, of_session, of_key, marks_against, `local function run()
  local id = ARGV[2]
  local key, tokens_key = of_session(id)
  local session = load(key)
  if session.bound then add_tokens(tokens_key, ARGV, 3, session.signon.exp) end
  return session_reply(session, marks_against(session))
end
return run()
`].join('\n'),
  read: [whole, text, clock, now, load, marks_at, mark_reply, marks_reply, signon_reply, session_reply, prefix, of_session, of_key, marks_against, state_of, `local function run()
  return state_of(ARGV[2])
end
return run()
`].join('\n'),
  marks: [whole, text, clock, now, marks_at, mark_reply, marks_reply, prefix, of_key, `local function run()
  local marks = {}
  for i = 2, #ARGV do marks_at(of_key('m', ARGV[i]), ARGV[i], marks) end
  return { 'now', text(now()), 'marks', marks_reply(marks) }
end
return run()
`].join('\n'),
  endSessions: [LOG_SECONDS, SPARE_SECONDS, whole, milliseconds, clock, now, ends_before, load, save, set_end, append_log, prefix, of_session, log_sessions, `local function run()
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
return run()
`].join('\n'),
  unbind: [LOG_SECONDS, SPARE_SECONDS, whole, milliseconds, clock, now, ends_before, load, save, append_log, prefix, of_session, of_key, unindex, log_sessions, unbind, `local function run()
  for i = 2, #ARGV do unbind(ARGV[i]) end
  log_sessions(ARGV, 2)
  return {}
end
return run()
`].join('\n'),
  begin: [LOG_SECONDS, SPARE_SECONDS, whole, text, milliseconds, clock, now, ends_before, load, save, set_end, index_members, key_of, covers, merge_mark, register_mark, append_log, mark_reply, prefix, of_session, of_key, unindex, write_mark, remember_jti, sessions_of, `local function run()
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
return run()
`].join('\n'),
  complete: [whole, milliseconds, clock, now, load, save, prefix, of_session, of_key, unindex, unbind, remember_jti, `local function run()
  for i = 4, #ARGV do unbind(ARGV[i]) end
  if ARGV[2] ~= '' then remember_jti(ARGV[2], 'completed', ARGV[3]) end
  return {}
end
return run()
`].join('\n'),
  readLog: [LOG_SECONDS, whole, text, clock, now, read_log, prefix, `local function run()
  return read_log(prefix .. 'log', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
end
return run()
`].join('\n'),
  scanMarks: [whole, text, clock, now, marks_at, mark_reply, marks_reply, prefix, `local function run()
  local page = redis.call('ZSCAN', prefix .. 'marks', ARGV[2], 'COUNT', ARGV[3])
  local marks = {}
  for i = 1, #page[2], 2 do marks_at(prefix .. 'm' .. page[2][i], nil, marks) end
  return { 'cursor', page[1], 'marks', marks_reply(marks) }
end
return run()
`].join('\n'),
}

export const CLUSTER_SCRIPTS = {
  clock: [whole, text, clock, now, `local function run()
  return { 'now', text(now()) }
end
return run()
`].join('\n'),
  index: [whole, text, milliseconds, clock, now, ends_before, index_add, marks_at, after_logouts, args, `local function run()
  index_add(KEYS[1], args.id, args.exp)
  return { 'at', text(after_logouts(now(), marks_at(KEYS[2], args.key, {}))) }
end
return run()
`].join('\n'),
  unindex: [args, `local function run()
  redis.call('ZREM', KEYS[1], args.id)
  return {}
end
return run()
`].join('\n'),
  put: [whole, milliseconds, clock, now, ends_before, keep_until, load, save, add_tokens, replace_tokens, args, `local function run()
  local session = load(KEYS[1])
  local replaced = session.bound
  if args.liftInherited and session.flag == 'i' then session.flag, session.till = '', 0 end
  local s = args.signon
  session.signon = { sub = s.sub, sid = s.sid or '', iat = s.iat or '', at = s.at, exp = s.exp }
  session.bound = true
  save(KEYS[1], session)
  replace_tokens(KEYS[2], args.tokens, 1, s.exp)
  return { 'ended', tostring(session.flag ~= ''), 'replaced', tostring(replaced) }
end
return run()
`].join('\n'),
  look: [whole, text, clock, now, load, signon_reply, `local function run()
  local session = load(KEYS[1])
  local reply = {
    'ended', tostring(session.flag ~= ''), 'bound', tostring(session.bound), 'flag', session.flag,
    'till', text(session.till), 'tokens', redis.call('SMEMBERS', KEYS[2]),
  }
  if session.signon then reply[11], reply[12] = 'signon', signon_reply(session.signon) end
  return reply
end
return run()
`].join('\n'),
  leave: [whole, text, milliseconds, clock, now, ends_before, keep_until, load, save, set_end, args, `local function run()
  local session = load(KEYS[1])
  local signon = session.signon
  local reply = { 'flag', session.flag, 'till', text(session.till), 'tokens', {} }
  if not signon then return reply end
  if signon.at ~= args.at or signon.sub ~= args.sub or signon.sid ~= args.sid or signon.exp > args.exp then
    return { 'changed', 'true' }
  end
  reply[6] = redis.call('SMEMBERS', KEYS[2])
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
return run()
`].join('\n'),
  inherit: [whole, milliseconds, clock, now, load, save, set_end, args, `local function run()
  local session = load(KEYS[1])
  if session.flag == '' then
    set_end(session, 'i', args.exp)
    save(KEYS[1], session)
  end
  return {}
end
return run()
`].join('\n'),
  renew: [whole, text, milliseconds, clock, now, ends_before, keep_until, load, save, signon_reply, args, `local function run()
  local session = load(KEYS[1])
  if not session.bound or session.signon.exp >= args.exp then return {} end
  session.signon.exp = args.exp
  save(KEYS[1], session)
  keep_until(KEYS[2], args.exp)
  return { 'signon', signon_reply(session.signon) }
end
return run()
`].join('\n'),
  addTokens: [whole, milliseconds, clock, now, ends_before, keep_until, load, add_tokens, args, `local function run()
  local session = load(KEYS[1])
  if session.bound then add_tokens(KEYS[2], args.tokens, 1, session.signon.exp) end
  return {}
end
return run()
`].join('\n'),
  finish: [whole, milliseconds, clock, now, load, save, set_end, args, `local function run()
  local session = load(KEYS[1])
  set_end(session, 'x', args.exp)
  save(KEYS[1], session)
  return { 'tokens', redis.call('SMEMBERS', KEYS[2]) }
end
return run()
`].join('\n'),
  finishCovered: [whole, text, milliseconds, clock, now, load, save, set_end, key_of, covers, args, `local function run()
  local session = load(KEYS[1])
  local signon = session.signon
  if not session.bound or key_of(signon, args.scope) ~= args.key then return { 'outcome', 'none' } end
  if args.sub ~= '' and args.sub ~= signon.sub then return { 'outcome', 'mismatched' } end
  if not covers(args, signon, args.tolerance) then return { 'outcome', 'none' } end
  local till = math.max(args.marksExp, signon.exp)
  set_end(session, 'x', till)
  save(KEYS[1], session)
  return { 'outcome', 'covered', 'till', text(till), 'tokens', redis.call('SMEMBERS', KEYS[2]) }
end
return run()
`].join('\n'),
  unbind: [whole, text, milliseconds, clock, now, load, save, signon_reply, `local function run()
  local session = load(KEYS[1])
  if not session.bound then return {} end
  local reply = { 'flag', session.flag, 'signon', signon_reply(session.signon) }
  session.signon, session.bound = nil, false
  save(KEYS[1], session)
  redis.call('DEL', KEYS[2])
  return reply
end
return run()
`].join('\n'),
  mark: [whole, text, milliseconds, clock, now, ends_before, index_members, merge_mark, mark_reply, args, `local function run()
  local mark = merge_mark(KEYS[1], args)
  return { 'mark', mark_reply(mark), 'ids', args.scope == 'token' and {} or index_members(KEYS[2]) }
end
return run()
`].join('\n'),
  marks: [whole, text, clock, now, marks_at, mark_reply, marks_reply, args, `local function run()
  return { 'now', text(now()), 'marks', marks_reply(marks_at(KEYS[1], args.key, {})) }
end
return run()
`].join('\n'),
  open: [whole, text, milliseconds, args, `local function run()
  local opened = redis.call('GET', KEYS[1])
  if opened == 'completed' then return { 'replayed', 'true' } end
  local iat, seen = args.iat, args.seen
  if opened then
    local dates = cmsgpack.unpack(opened)
    iat, seen = dates[1], dates[2]
  end
  redis.call('SET', KEYS[1], cmsgpack.pack({ iat, seen }), 'PXAT', milliseconds(args.exp))
  return { 'iat', text(iat), 'seen', text(seen) }
end
return run()
`].join('\n'),
  close: [whole, milliseconds, args, `local function run()
  redis.call('SET', KEYS[1], 'completed', 'PXAT', milliseconds(args.exp))
  return {}
end
return run()
`].join('\n'),
  register: [SPARE_SECONDS, whole, milliseconds, clock, now, ends_before, register_mark, args, `local function run()
  register_mark(KEYS[1], args.id, args.exp)
  return {}
end
return run()
`].join('\n'),
  scanRegistry: [args, `local function run()
  local page = redis.call('ZSCAN', KEYS[1], args.cursor, 'COUNT', args.count)
  local ids = {}
  for i = 1, #page[2], 2 do ids[#ids + 1] = page[2][i] end
  return { 'cursor', page[1], 'ids', ids }
end
return run()
`].join('\n'),
  append: [LOG_SECONDS, SPARE_SECONDS, whole, milliseconds, clock, now, ends_before, append_log, args, `local function run()
  append_log(KEYS[1], args.entries)
  return {}
end
return run()
`].join('\n'),
  readLog: [LOG_SECONDS, whole, text, clock, now, read_log, args, `local function run()
  return read_log(KEYS[1], args.after, args.readAt, args.count)
end
return run()
`].join('\n'),
}
