-- KEYS: registry. ARGV: name of a key, expiry in milliseconds.
register_mark(KEYS[1], ARGV[1], ARGV[2])
return {}
