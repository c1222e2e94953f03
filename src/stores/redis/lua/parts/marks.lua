-- Marks as text, side by side under one name, and the registry of names that hold any.

-- Scope, key, sub, iat or '-', seen at, expires at. Marks of one name lie together, one on each line, since a name is
-- cut short.
local MARK = '(%S+) (%S+) (%S*) (%S+) (%S+) (%S+)'

-- Puts a mark beside those of its key. One that ends nothing beyond what another ends is dropped, and the other kept
-- until the later end of both. Returns the mark by itself, and until when the marks of that name are kept.
local function write_mark(name, till, scope, key, sub, iat, seen, exp)
  local head = scope .. ' ' .. key .. ' ' .. sub .. ' ' .. iat .. ' ' .. seen .. ' '
  local mark = head .. exp
  local old = redis.call('SET', name, mark, 'PXAT', till, 'GET')
  if not old then return mark, exp end
  local marks, last, is_kept = {}, exp, true
  for line in string.gmatch(old, '[^\n]+') do
    local of_scope, of, of_sub, of_iat, of_seen, of_exp = string.match(line, MARK)
    if tonumber(of_exp) * 1000000 > now() then
      last = later(last, of_exp)
      if of ~= key then
        marks[#marks + 1] = line
      elseif is_kept and covers_all_of(of_scope, of_sub, of_iat, of_seen, scope, sub, iat, seen) then
        is_kept = false
        marks[#marks + 1] = table.concat({ of_scope, of, of_sub, of_iat, of_seen, later(exp, of_exp) }, ' ')
      elseif covers_all_of(scope, sub, iat, seen, of_scope, of_sub, of_iat, of_seen) then
        exp = later(exp, of_exp)
      else
        marks[#marks + 1] = line
      end
    end
  end
  if is_kept then marks[#marks + 1] = head .. exp end
  -- Mostly the only earlier mark is covered by this one, and what was written first stands.
  if marks[1] == mark and not marks[2] and last == exp then return mark, exp end
  redis.call('SET', name, table.concat(marks, '\n'), 'PXAT', milliseconds(last))
  return mark, last
end

-- When a sign-on is bound: a login dated by the same clock tick as an earlier logout is still known to be the later
-- one.
local function bound_after(key, marks, at)
  for line in string.gmatch(marks or '', '[^\n]+') do
    local _, of, _, _, seen = string.match(line, MARK)
    if of == key then at = math.max(at, tonumber(seen) + 1) end
  end
  return at
end

-- Which names hold live marks: only for readers that have to start afresh. Until when, in milliseconds, and name, in
-- turn.
local function register_marks(registry, names)
  local till = names[1]
  for i = 3, #names, 2 do
    if names[i] ~= till then till = later(till, names[i]) end
  end
  -- Lua cannot hand over any number of arguments at once.
  for first = 1, #names, 1000 do
    redis.call('ZADD', registry, 'GT', unpack(names, first, math.min(first + 999, #names)))
  end
  local is_short = ends_before(redis.call('PTTL', registry), till)
  -- Also now and then: one mark that is kept for years must not keep all the others.
  if is_short or now() % 64 == 0 then
    redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(now() / 1000))
  end
  if is_short then
    redis.call('PEXPIREAT', registry, tonumber(till) + SPARE_SECONDS * 1000)
  end
end
