-- KEYS: index. ARGV: session's name, expiry.
index_add(KEYS[1], ARGV[1], ARGV[2])
now()
return { clock_text }
