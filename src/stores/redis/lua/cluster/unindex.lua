-- KEYS: index. ARGV: session's name.
redis.call('ZREM', KEYS[1], ARGV[1])
return {}
