-- The names of the sessions of one sub or sid, read a page at a time.

-- Sessions that one script looks at, at most: what waits for Redis meanwhile waits some 5 ms.
local PAGE = 200
local PAGE_TEXT = '200'

-- Entries that one login removes, at most: a user whose many sessions ended at one time must not stop Redis.
local PRUNED = 200

-- Scores are whole seconds, rounded up: a text, for Redis takes longer to print a number than to add to an index.
local function index_add(key, name, exp)
  local left, score = redis.call('PTTL', key), string.format('%d', math.ceil(exp))
  redis.call('ZADD', key, 'GT', score, name)
  if left < 0 then return redis.call('PEXPIREAT', key, score .. '000') end
  -- Afterwards: an index that was pruned to nothing would start again without an end.
  local over = redis.call('ZCOUNT', key, '-inf', math.floor(now() / 1000000))
  if over > 0 then redis.call('ZREMRANGEBYRANK', key, 0, math.min(over, PRUNED) - 1) end
  if ends_before(left, score .. '000') then redis.call('PEXPIREAT', key, score .. '000') end
end

-- The names in an index after a position, so many at most, and the position that they end at; none at its end. A
-- position is a score and a name: that order is the same after a restart and on a replica, which a cursor of ZSCAN is
-- not. Names that go meanwhile move nobody across it, and scores only grow, so nobody who was there is passed over.
local function page_of(index_key, after, room)
  local names
  if after == '' and room <= PAGE then
    -- As every logout does: a text is cheaper than a number.
    names = redis.call('ZRANGE', index_key, '0', PAGE_TEXT)
  else
    -- Bytes, as Redis orders names of one score; how Lua compares texts depends on the locale.
    local function is_after(name, other)
      for i = 1, math.min(#name, #other) do
        local mine, yours = string.byte(name, i), string.byte(other, i)
        if mine ~= yours then return mine > yours end
      end
      return #name > #other
    end
    local first = 0
    if after ~= '' then
      local score, name = string.match(after, '^(%S+) (%S+)$')
      first = redis.call('ZCOUNT', index_key, '-inf', '(' .. score)
      local last = redis.call('ZCOUNT', index_key, '-inf', score)
      while first < last do
        local middle = math.floor((first + last) / 2)
        if is_after(redis.call('ZRANGE', index_key, middle, middle)[1], name) then
          last = middle
        else
          first = middle + 1
        end
      end
    end
    names = redis.call('ZRANGE', index_key, first, first + room)
  end
  if #names <= room then return names, nil end
  for i = #names, room + 1, -1 do names[i] = nil end
  return names, redis.call('ZSCORE', index_key, names[room]) .. ' ' .. names[room]
end
