-- The time of Redis in microseconds, until when keys are kept, and how long what is shared is kept beyond its need.

-- What every logout writes to is kept so much longer than it must, and pruned whenever that is used up.
local SPARE_SECONDS = 60

local clock, clock_text

-- Microseconds. One reading for the whole script, and none where nothing is dated.
local function now()
  if not clock then
    local time = redis.call('TIME')
    clock_text = time[1] .. string.sub('00000' .. time[2], -6)
    clock = tonumber(clock_text)
  end
  return clock
end

local function later(one, other)
  return tonumber(other) > tonumber(one) and other or one
end

local function milliseconds(time)
  return math.ceil(time * 1000)
end

-- Whether a key that had so many milliseconds left (PTTL) would be gone before a time in milliseconds.
local function ends_before(left, till)
  return left < 0 or now() / 1000 + left < tonumber(till)
end

-- Moves a key's end later, never earlier.
local function keep_until(key, till)
  if ends_before(redis.call('PTTL', key), till) then redis.call('PEXPIREAT', key, till) end
end
