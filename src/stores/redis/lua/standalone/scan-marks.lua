-- ARGV: cursor, entries at a time.
now()
local page = redis.call('ZSCAN', prefix .. 'marks', ARGV[2], 'COUNT', ARGV[3])
local reply = { page[1], clock_text }
for i = 1, #page[2], 2 do reply[#reply + 1] = redis.call('GET', prefix .. 'm' .. page[2][i]) or '' end
return reply
