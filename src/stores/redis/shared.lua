-- What the scripts share: the clock, the records of sessions, the entries of indexes, marks and the log. Each function
-- works on the keys of one slot; none knows which others there are. A script is one operation and only what it needs of
-- this (test/stores/embed.ts), since Redis makes every function of a script anew at each call.
--
-- All is text, and times are texts as they came: to print a number costs more than a command. Fields are separated by
-- spaces and lines by line ends, neither of which is in a field (fields.ts).

-- Readers that fell further behind than this reload all marks.
local LOG_SECONDS = 300

-- What every logout writes to is kept so much longer than it must, and pruned whenever that is used up.
local SPARE_SECONDS = 60

-- The record of a session id: whether it is bound (1) and has tokens (2), how it ended, iat and begun at with a slash
-- between them (the slash only with the latter), bound at, expires at, sub,
-- sid, session id, and until when the end is kept. Ends: none, 'x' (ended), 'i' (inherited), 'm' (moved on; whoever else is
-- regenerated from it gets the sign-on).
local RECORD = '^(%d)(%a?) (%S*) (%S+) (%S+) (%S+) (%S*) (%S+) ?(%S*)'
-- Without a sign-on: until when it is kept.
local ENDING = '^(%d)(%a) (%S+)'
-- Further lines: where sign-ons moved on to. Name, and by what the sign-on is known: bound at, sub, sid.
local MOVED = '(%S+) (%S+) (%S+) (%S*)'

-- Scope, key, sub, iat or '-', seen at, expires at. Marks of one name lie together, one on each line, since a name is cut short.
local MARK = '(%S+) (%S+) (%S*) (%S+) (%S+) (%S+)'

-- DEFAULT_SKEW_SECONDS and UNDER_WAY_SECONDS of src/marks/covering.ts.
local SKEW_SECONDS = 5
local UNDER_WAY_SECONDS = 60

-- Sessions that one script looks at, at most: what waits for Redis meanwhile waits some 10 ms.
local PAGE = 500

local clock, clock_text

-- Microseconds. One reading for the whole script, and none where nothing is dated.
local function now()
  if not clock then
    local time = redis.call('TIME')
    clock_text = time[1] .. string.sub('00000' .. time[2], -6)
    clock = tonumber(clock_text)
  end
  return clock
end

-- Of a key: hashes already, and 96 bits of them are enough to be rarely shared.
local function name_of(key)
  return string.sub(key, 1, 16)
end

local function later(one, other)
  return tonumber(other) > tonumber(one) and other or one
end

local function milliseconds(time)
  return math.ceil(time * 1000)
end

-- Whether a key that had so many milliseconds left (PTTL) would be gone before a time in milliseconds.
local function ends_before(left, till)
  return left < 0 or now() / 1000 + left < tonumber(till)
end

-- Moves a key's end later, never earlier.
local function keep_until(key, till)
  if ends_before(redis.call('PTTL', key), till) then redis.call('PEXPIREAT', key, till) end
end

local function load(key)
  local record = redis.call('GET', key)
  if not record then return { flag = '', till = '0', to = '' } end
  local state, flag, iat, at, exp, sub, sid, id, till = string.match(record, RECORD)
  if not state then state, flag, till = string.match(record, ENDING) end
  local to = string.match(record, '\n.*') or ''
  if flag == '' or tonumber(till) * 1000000 <= now() then flag, till, to = '', '0', '' end
  local bound = (state == '1' or state == '3') and tonumber(exp) * 1000000 > now()
  if not bound and flag ~= 'm' then sub = nil end
  return {
    flag = flag, till = till, to = to, bound = bound, tokens = state >= '2',
    iat = iat, at = at, exp = exp, sub = sub, sid = sid, id = id,
  }
end

-- A session without sign-on keeps none of it.
local function save(key, session)
  if not session.bound and session.flag == '' then return redis.call('DEL', key) end
  local record, till = (session.bound and 1 or 0) + (session.tokens and 2 or 0) .. session.flag, session.till
  if session.sub then
    record = record .. ' ' .. session.iat .. ' ' .. session.at .. ' ' .. session.exp
      .. ' ' .. session.sub .. ' ' .. session.sid .. ' ' .. session.id
  end
  if session.flag ~= '' then record = record .. ' ' .. till .. session.to end
  if session.bound then till = later(till, session.exp) end
  redis.call('SET', key, record, 'PXAT', milliseconds(till))
end

-- An id that moved on and is then ended hands its sign-on to nobody any more, and still tells where it went: a repeat follows, too.
local function set_end(session, flag, till)
  session.flag, session.till = flag, later(till, session.till)
  if flag ~= 'm' and not session.bound then session.sub = nil end
end

local function is_signon(session, at, sub, sid)
  return session.sub == sub and session.sid == sid and session.at == at
end

local function moved_to(session, name)
  local pointer = '\n' .. name .. ' ' .. session.at .. ' ' .. session.sub .. ' ' .. session.sid
  if not string.find(session.to .. '\n', pointer .. '\n', 1, true) then session.to = session.to .. pointer end
end

-- Ends a session for good, or, where a sign-on was followed to it, if it is still that sign-on's. Returns whether it is ended.
local function end_locally(session, till, at, sub, sid)
  if at and not is_signon(session, at, sub, sid) then return false end
  if session.sub then till = later(till, session.exp) end
  if not at or session.flag == 'm' then
    set_end(session, 'x', till)
  elseif session.flag == '' then
    set_end(session, 'i', till)
  end
  return true
end

-- The tokens are those of a list from a position on, so that arguments need not be copied.
local function add_tokens(key, session, list, first)
  if #list < first then return end
  for i = first, #list do redis.call('SADD', key, list[i]) end
  keep_until(key, milliseconds(session.exp))
  session.tokens = true
end

-- Of an older binding of the same sign-on the tokens stay: its user signed in once more.
local function put_tokens(key, session, older, list, first)
  local same = older.bound and older.sub == session.sub and older.sid == session.sid
  session.tokens = older.tokens and same
  if session.tokens then
    keep_until(key, milliseconds(session.exp))
  elseif older.tokens then
    redis.call('DEL', key)
  end
  add_tokens(key, session, list, first)
end

local function tokens_of(key, session)
  return session.tokens and redis.call('SMEMBERS', key) or {}
end

-- Takes the sign-on from an id: one that was ended hands it on no more, any other notes where it went.
local function leave_behind(session, tokens_key, to_name, exp)
  session.bound = false
  if session.flag == 'x' or session.flag == 'i' then
    if session.tokens then redis.call('DEL', tokens_key) end
    session.sub, session.tokens = nil, false
  else
    moved_to(session, to_name)
    set_end(session, 'm', exp)
    if session.tokens then keep_until(tokens_key, milliseconds(session.till)) end
  end
end

-- Where to follow on from an id, and as which sign-on: all of its, or one that was followed there.
local function pointers_of(session, of_at, of_sub, of_sid)
  local pointers = {}
  for name, at, sub, sid in string.gmatch(session.to, MOVED) do
    if not of_at or (at == of_at and sub == of_sub and sid == of_sid) then
      pointers[#pointers + 1] = { name, at, sub, sid }
    end
  end
  return pointers
end

-- Scores are whole seconds, rounded up.
local function index_add(key, name, exp)
  local left, score = redis.call('PTTL', key), math.ceil(exp)
  redis.call('ZADD', key, 'GT', score, name)
  -- Afterwards: an index that was pruned to nothing would start again without an end.
  if left >= 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', math.floor(now() / 1000000)) end
  if ends_before(left, score * 1000) then redis.call('PEXPIREAT', key, score * 1000) end
end

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
local function covers(scope, mark_iat, seen, dates, at)
  local iat, begun = string.match(dates, '^([^/]*)/?(.*)$')
  if begun ~= '' and begun * 1000000 - seen > 0 then return false end
  local bound = at - seen <= 0
  if mark_iat == '-' then return bound end
  if iat == '' then return true end
  local after = iat - mark_iat
  return after <= 0 or (bound and after <= SKEW_SECONDS) or (scope == 'sid' and after <= UNDER_WAY_SECONDS)
end

-- Whether one mark ends everything that another of the same key ends.
local function covers_all_of(scope, sub, iat, seen, of_scope, of_sub, of_iat, of_seen)
  if scope ~= of_scope and not (scope == 'sub' and of_scope == 'sidless') then return false end
  if scope == 'token' then return true end
  if sub ~= '' and sub ~= of_sub then return false end
  if seen - of_seen < 0 then return false end
  if iat == '-' or of_iat == '-' then return iat == of_iat end
  return iat - of_iat >= 0
end

-- Puts a mark beside those of its key. One that ends nothing beyond what another ends is dropped, and the other kept until
-- the later end of both. Returns the mark by itself, and until when the marks of that name are kept.
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
  redis.call('SET', name, table.concat(marks, '\n'), 'PXAT', milliseconds(last))
  return mark, last
end

-- The names in an index after a position, so many at most, and the position that they end at; none at its end. The first
-- look is at whole indexes, as nearly all are small; a long one is scanned, whatever comes and goes meanwhile.
local function page_of(index_key, after, room)
  if after == '' then
    local names = redis.call('ZRANGE', index_key, 0, room)
    if #names <= room then return names, nil end
    after = '0'
  end
  local page = redis.call('ZSCAN', index_key, after, 'COUNT', room)
  local names = {}
  for i = 1, #page[2], 2 do names[#names + 1] = page[2][i] end
  return names, page[1] ~= '0' and page[1] or nil
end

-- When a sign-on is bound: a login dated by the same clock tick as an earlier logout is still known to be the later one.
local function bound_after(key, marks, at)
  for line in string.gmatch(marks or '', '[^\n]+') do
    local _, of, _, _, seen = string.match(line, MARK)
    if of == key then at = math.max(at, tonumber(seen) + 1) end
  end
  return at
end

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

-- Which names hold live marks: only for readers that have to start afresh.
local function register_mark(registry, name, till)
  redis.call('ZADD', registry, 'GT', till, name)
  local is_short = ends_before(redis.call('PTTL', registry), till)
  -- Also now and then: one mark that is kept for years must not keep all the others.
  if is_short or now() % 64 == 0 then
    redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(now() / 1000))
  end
  if is_short then
    redis.call('PEXPIREAT', registry, tonumber(till) + SPARE_SECONDS * 1000)
  end
end

-- Fields and values in turn. Lua cannot hand over any number of arguments at once.
local function append_log(log, fields)
  if #fields == 0 then return end
  for first = 1, #fields, 1000 do
    redis.call('XADD', log, '*', unpack(fields, first, math.min(first + 999, #fields)))
  end
  local kept = now() / 1000 + LOG_SECONDS * 1000
  if ends_before(redis.call('PTTL', log), kept) then
    -- Without that limit at most 10,000 entries go at a time, and more than that may come.
    redis.call('XTRIM', log, 'MINID', '~', math.floor(now() / 1000 - LOG_SECONDS * 1000), 'LIMIT', 0)
    redis.call('PEXPIREAT', log, math.ceil(kept) + SPARE_SECONDS * 1000)
  end
  -- The doorbell; whoever misses it reads the log a little later.
  -- A user who may not publish has no doorbell, and still a logout.
  redis.pcall('PUBLISH', log, '')
end

-- The log after a cursor (an id of the stream and the time of that read), or that this cursor cannot be followed.
local function read_log(log, after, read_at, count)
  now()
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if after == '' then return { clock_text, last and last[1] or '0-0' } end
  -- What is younger than the log is trimmed to must still be there, or the log was deleted.
  local milliseconds_after = tonumber(string.match(after, '^%d+'))
  local is_young = milliseconds_after > 0 and now() / 1000 - milliseconds_after < LOG_SECONDS * 1000
  if is_young and not redis.call('XRANGE', log, after, after)[1] then return { clock_text } end
  local lost_since = last and tonumber(string.match(last[1], '^%d+')) < tonumber(string.match(after, '^%d+'))
  if lost_since or now() - read_at > LOG_SECONDS / 2 * 1000000 then return { clock_text } end
  local entries, flat = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count), {}
  for _, entry in ipairs(entries) do
    after = entry[1]
    for _, value in ipairs(entry[2]) do flat[#flat + 1] = value end
  end
  return { clock_text, after, #entries == tonumber(count) and 1 or 0, flat }
end
