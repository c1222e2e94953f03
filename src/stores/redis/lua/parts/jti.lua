-- What is remembered of a jti: its first dates, and whether its logout is complete.

-- Of an opened or completed jti: the first dates, where they are known.
local function dates_of(opened)
  return string.match(opened, '(%S+) (%S+)$')
end

-- Remembers a jti as completed, or, where it was completed and is not done after all, as opened.
local function close_jti(key, done, till)
  local opened = redis.call('GET', key)
  local iat, seen = dates_of(opened or '')
  local dates = iat and iat .. ' ' .. seen or ''
  if done then
    redis.call('SET', key, 'completed ' .. dates, 'PXAT', till)
  elseif iat then
    redis.call('SET', key, dates, 'PXAT', till)
  elseif opened then
    redis.call('DEL', key)
  end
end
