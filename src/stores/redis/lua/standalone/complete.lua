-- ARGV: jti, its expiry in milliseconds, whether it is done, sessions' names.
for i = 5, #ARGV do unbind(ARGV[i]) end
if ARGV[2] ~= '' then close_jti(prefix .. 'j' .. ARGV[2], ARGV[4] == '1', ARGV[3]) end
return {}
