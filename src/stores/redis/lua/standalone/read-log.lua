-- ARGV: position in the log, time of that read, entries at most.
return read_log(prefix .. 'log', ARGV[2], ARGV[3], ARGV[4])
