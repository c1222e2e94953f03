-- KEYS: registry. ARGV: expiry in milliseconds and name of a key, in turn.
register_marks(KEYS[1], ARGV)
return {}
