-- KEYS: jti. ARGV: iat, seen, expiry in milliseconds.
local opened = redis.call('GET', KEYS[1])
if opened and string.sub(opened, 1, 9) == 'completed' then return { 'replayed' } end
local iat, seen = ARGV[1], ARGV[2]
if opened then iat, seen = dates_of(opened) end
redis.call('SET', KEYS[1], iat .. ' ' .. seen, 'PXAT', ARGV[3])
return { iat, seen }
