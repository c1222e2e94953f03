-- KEYS: marks. ARGV: expiry in milliseconds, scope, key, sub, iat, seen, expiry.
return { (write_mark(KEYS[1], unpack(ARGV, 1, 7))) }
