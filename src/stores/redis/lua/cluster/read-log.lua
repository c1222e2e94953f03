-- KEYS: log. ARGV: position in the log, time of that read, entries at most.
return read_log(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
