-- What the scripts share: the clock, the records of sessions, the entries of indexes, marks and the log. Each function
-- works on the keys of one slot; none knows which others there are. A script is one operation and only what it needs of
-- this (test/stores/embed.ts), since Redis makes every function of a script anew at each call.

-- Readers that fell further behind than this reload all marks.
local LOG_SECONDS = 300

-- What every logout writes to is kept so much longer than it must, and pruned whenever that is used up.
local SPARE_SECONDS = 60

-- Whole numbers are made text several times faster than others, and most numbers here are whole.
local function whole(number)
  return string.format('%d', number)
end

local function text(number)
  return number % 1 == 0 and whole(number) or string.format('%.17g', number)
end

local function milliseconds(time)
  return whole(math.ceil(time * 1000))
end

local clock

-- One reading for the whole script, and none where nothing is dated.
local function now()
  if not clock then
    local time = redis.call('TIME')
    clock = tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
  return clock
end

-- Whether a key that had so many milliseconds left (PTTL) would be gone before a time.
local function ends_before(left, time)
  return left < 0 or now() * 1000 + left < time * 1000
end

-- Moves a key's end later, never earlier.
local function keep_until(key, time)
  if ends_before(redis.call('PTTL', key), time) then redis.call('PEXPIREAT', key, milliseconds(time)) end
end

-- One record for each session id: { sub, sid, iat, bound at, expires at [, end, end kept until, is bound] }.
-- The end is 'x' (ended), 'i' (inherited) or 'm' (moved on; the sign-on is kept for whoever else is regenerated from it).
-- MessagePack: length-safe, and half the size of text with field names.
local function load(key)
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
  if till <= now() then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(r), 'PXAT', milliseconds(till))
  end
end

local function set_end(session, flag, till)
  session.flag, session.till = flag, math.max(till, session.till)
  if flag ~= 'm' and not session.bound then session.signon = nil end
end

-- The tokens are those of a list from a position on, so that arguments need not be copied.
local function add_tokens(key, list, first, till)
  if #list < first then return end
  for i = first, #list do redis.call('SADD', key, list[i]) end
  keep_until(key, till)
end

local function replace_tokens(key, list, first, till)
  redis.call('DEL', key)
  add_tokens(key, list, first, till)
end

-- Scores are whole seconds, rounded up.
local function index_add(key, session_id, till)
  local left, score = redis.call('PTTL', key), math.ceil(till)
  redis.call('ZADD', key, whole(score), session_id)
  -- Afterwards: an index that was pruned to nothing would start again without an end.
  if left >= 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(math.floor(now()))) end
  if ends_before(left, score) then redis.call('PEXPIREAT', key, milliseconds(score)) end
end

local function index_members(key)
  return redis.call('ZRANGEBYSCORE', key, '(' .. whole(math.floor(now())), '+inf')
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
    if (key == nil or of[1] == key) and dates[4] > now() then
      into[#into + 1] = { scope = dates[1], key = of[1], sub = of[2], iat = dates[2], seen = dates[3], exp = dates[4] }
    end
  end
  return into
end

-- Two marks of one target become the greater by (iat, seen), whole; the expiry is the later of both.
local function merge_mark(hash, mark)
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
  redis.call('ZADD', registry, 'GT', whole(math.ceil(till)), id)
  if ends_before(redis.call('PTTL', registry), till) then
    redis.call('ZREMRANGEBYSCORE', registry, '-inf', whole(math.floor(now())))
    redis.call('PEXPIREAT', registry, milliseconds(till + SPARE_SECONDS))
  end
end

local function append_log(log, entries)
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
end

-- Replies are lists of names and values. Everything goes as text: a number of Redis is an integer, and a time is not.
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
  local reply = { 'ended', tostring(session.flag ~= ''), 'marks', marks_reply(marks) }
  if session.bound then reply[5], reply[6] = 'signon', signon_reply(session.signon) end
  return reply
end

-- The log after a cursor (an id of the stream and the time of that read), or that this cursor cannot be followed.
local function read_log(log, after, read_at, count)
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
end
