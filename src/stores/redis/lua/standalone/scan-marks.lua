-- ARGV: where the page before ended, marks at a time. By the registry.
now()
local names, position = page_of(prefix .. 'marks', ARGV[2], tonumber(ARGV[3]))
local reply = { position or '', clock_text }
for _, name in ipairs(names) do reply[#reply + 1] = redis.call('GET', prefix .. 'm' .. name) or '' end
return reply
