-- The names of the sessions of one sub or sid, read a page at a time.

-- Sessions that one script looks at, at most: what waits for Redis meanwhile waits some 10 ms.
local PAGE = 500

-- Scores are whole seconds, rounded up.
local function index_add(key, name, exp)
  local left, score = redis.call('PTTL', key), math.ceil(exp)
  redis.call('ZADD', key, 'GT', score, name)
  -- Afterwards: an index that was pruned to nothing would start again without an end.
  if left >= 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', math.floor(now() / 1000000)) end
  if ends_before(left, score * 1000) then redis.call('PEXPIREAT', key, score * 1000) end
end

-- The names in an index after a position, so many at most, and the position that they end at; none at its end. The
-- first look is at whole indexes, as nearly all are small; a long one is scanned, whatever comes and goes meanwhile.
local function page_of(index_key, after, room)
  if after == '' then
    local names = redis.call('ZRANGE', index_key, 0, room)
    if #names <= room then return names, nil end
    after = '0'
  end
  local page = redis.call('ZSCAN', index_key, after, 'COUNT', room)
  local names = {}
  for i = 1, #page[2], 2 do names[#names + 1] = page[2][i] end
  return names, page[1] ~= '0' and page[1] or nil
end
