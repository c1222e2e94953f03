-- What is known of a session id, with the marks against its sign-on.

-- The marks under the keys of a sign-on; the reader drops those of keys that begin alike.
local function marks_against(sub, sid)
  if sid == '' then return { redis.call('GET', of_key('m', sub)), false } end
  return redis.call('MGET', of_key('m', sub), of_key('m', sid))
end

-- A record, and where it cannot be judged alone: what o'clock it is and the marks against it.
local function state_of(name)
  local record = redis.call('GET', prefix .. 's' .. name)
  if not record then return {} end
  local state, flag, _, _, _, sub, sid = fields_of(record)
  if state ~= '1' and state ~= '3' then
    now()
    return { record, clock_text }
  end
  local marks = marks_against(sub, sid)
  if flag == '' and not marks[1] and not marks[2] then return { record } end
  now()
  return { record, clock_text, marks[1] or '', marks[2] or '' }
end
