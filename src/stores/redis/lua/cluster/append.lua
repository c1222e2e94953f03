-- KEYS: log. ARGV: fields and values in turn.
append_log(KEYS[1], ARGV)
return {}
