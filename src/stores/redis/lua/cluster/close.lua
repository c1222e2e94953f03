-- KEYS: jti. ARGV: whether it is done, expiry in milliseconds.
close_jti(KEYS[1], ARGV[1] == '1', ARGV[2])
return {}
