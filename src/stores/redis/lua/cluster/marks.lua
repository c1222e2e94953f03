-- KEYS: marks.
now()
return { clock_text, redis.call('GET', KEYS[1]) or '' }
