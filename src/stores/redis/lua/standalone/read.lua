-- ARGV: session's name.
return state_of(ARGV[2])
