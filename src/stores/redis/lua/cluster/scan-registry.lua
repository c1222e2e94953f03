-- KEYS: registry. ARGV: where the page before ended, names at a time.
local names, position = page_of(KEYS[1], ARGV[1], tonumber(ARGV[2]))
return { position or '', unpack(names) }
