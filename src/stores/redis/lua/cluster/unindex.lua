-- KEYS: index. ARGV: sessions' names.
-- Lua cannot hand over any number of arguments at once.
for first = 1, #ARGV, 1000 do
  redis.call('ZREM', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
return {}
