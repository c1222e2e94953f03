-- ARGV: keys.
now()
local reply = { clock_text }
for i = 2, #ARGV do reply[i] = redis.call('GET', of_key('m', ARGV[i])) or '' end
return reply
