-- The log that bounded readers follow: a stream, kept for a while.

-- Readers that fell further behind than this reload all marks.
local LOG_SECONDS = 300

-- Keeps the log for a while from now on, and nothing in it that is older.
local function keep_log(log)
  local kept = now() / 1000 + LOG_SECONDS * 1000
  if not ends_before(redis.call('PTTL', log), kept) then return end
  -- Without that limit at most 10,000 entries go at a time, and more than that may come.
  redis.call('XTRIM', log, 'MINID', '~', math.floor(now() / 1000 - LOG_SECONDS * 1000), 'LIMIT', 0)
  redis.call('PEXPIREAT', log, math.ceil(kept) + SPARE_SECONDS * 1000)
end

-- Fields and values in turn. Lua cannot hand over any number of arguments at once.
local function append_log(log, fields)
  if #fields == 0 then return end
  for first = 1, #fields, 1000 do
    redis.call('XADD', log, '*', unpack(fields, first, math.min(first + 999, #fields)))
  end
  keep_log(log)
  -- The doorbell; whoever misses it reads the log a little later.
  -- A user who may not publish has no doorbell, and still a logout.
  redis.pcall('PUBLISH', log, '')
end

-- Where nothing happens readers write an entry of their own, so that each of them always knows a young one.
local QUIET_SECONDS = 100

local function time_of(id)
  return tonumber(string.match(id, '^%d+'))
end

-- The newest entry of the log, if there is any. A Redis that takes no writes may have none that is young.
local function newest_of(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if last and now() / 1000 - time_of(last[1]) < QUIET_SECONDS * 1000 then return last end
  pcall(function()
    -- The first of a log by the microsecond: where one was deleted, no entry of the next one is taken for one of it.
    local id = string.sub(clock_text, 1, -4) .. '-1' .. string.sub(clock_text, -3)
    local begun = not last and redis.pcall('XADD', log, id, 'h', '')
    if type(begun) == 'string' then keep_log(log) else append_log(log, { 'h', '' }) end
  end)
  return redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end

-- The log after a cursor (an id of the stream and the time of that read), or that this cursor cannot be followed.
local function read_log(log, after, read_at, count)
  now()
  -- What is younger than the log is trimmed to must still be there, or the log was deleted.
  local milliseconds_after = after == '' and 0 or time_of(after)
  local is_young = milliseconds_after > 0 and now() / 1000 - milliseconds_after < LOG_SECONDS * 1000
  if is_young and not redis.call('XRANGE', log, after, after)[1] then return { clock_text } end
  local last = newest_of(log)
  if after == '' then return { clock_text, last and last[1] or '0-0' } end
  local lost_since = last and time_of(last[1]) < milliseconds_after
  if lost_since or now() - read_at > LOG_SECONDS / 2 * 1000000 then return { clock_text } end
  local entries, flat = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count), {}
  for _, entry in ipairs(entries) do
    after = entry[1]
    for _, value in ipairs(entry[2]) do flat[#flat + 1] = value end
  end
  return { clock_text, after, #entries == tonumber(count) and 1 or 0, flat }
end
