-- KEYS: index. ARGV: where the page before ended. Names of sessions, and where this page ends.
local names, after = page_of(KEYS[1], ARGV[1], PAGE)
return { after or '', names }
