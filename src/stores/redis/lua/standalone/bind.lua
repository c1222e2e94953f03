-- ARGV: session's name, session id, sub, sid, what the login says, expiry, tokens.
local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
local key = prefix .. 's' .. name
local older, by_sub, by_sid
if sid == '' then
  older, by_sub = unpack(redis.call('MGET', key, of_key('m', sub)))
else
  older, by_sub, by_sid = unpack(redis.call('MGET', key, of_key('m', sub), of_key('m', sid)))
end
local at = bound_after(sid, by_sid, bound_after(sub, by_sub, now()))
at = at == now() and clock_text or string.format('%.0f', at)
if not older and not ARGV[8] then
  -- A new session id, as after every login.
  local record = '1 ' .. iat .. ' ' .. at .. ' ' .. exp .. ' ' .. sub .. ' ' .. sid .. ' ' .. id
  redis.call('SET', key, record, 'PXAT', milliseconds(exp))
  index_add(of_key('i', sub), name, exp)
  index_add(other_index(sub, sid), name, exp)
  return { at, '', clock_text, by_sub or '', by_sid or '', iat }
end
-- Rest:
local session = put(name, { id = id, sub = sub, sid = sid, iat = iat, at = at, exp = exp }, ARGV, 8, true)
-- Nothing comes between: the marks are still the same.
return { at, session.flag, clock_text, by_sub or '', by_sid or '', session.iat }
