-- The record of a session id: one text, read and written whole. Knows no index and no mark.

-- The record of a session id: whether it is bound (1) and has tokens (2), how it ended, what its login said of itself,
-- bound at, expires at, sub, sid, session id, and until when the end is kept. Ends: none, 'x' (ended), 'i' (inherited),
-- 'm' (moved on; whoever else is regenerated from it gets the sign-on).
local RECORD = '^(%d)(%a?) (%S*) (%S+) (%S+) (%S+) (%S*) (%S+) ?(%S*)'

-- What a login said, with slashes between, as far as there is anything: iat, begun at, ends at, and what only readers
-- know.
local LOGIN = '^([^/]*)/?([^/]*)/?([^/]*)(.*)$'

-- The fields of a record, as RECORD has them. Most have no end: to look for spaces costs a third of the pattern.
local function fields_of(record)
  if string.byte(record, 2) ~= 32 then return string.match(record, RECORD) end
  local find, sub = string.find, string.sub
  local at = find(record, ' ', 3, true)
  local exp = find(record, ' ', at + 1, true)
  local of_sub = find(record, ' ', exp + 1, true)
  local of_sid = find(record, ' ', of_sub + 1, true)
  local id = find(record, ' ', of_sid + 1, true)
  return sub(record, 1, 1), '', sub(record, 3, at - 1), sub(record, at + 1, exp - 1), sub(record, exp + 1, of_sub - 1),
    sub(record, of_sub + 1, of_sid - 1), sub(record, of_sid + 1, id - 1), sub(record, id + 1), ''
end

-- Without a sign-on: until when it is kept.
local ENDING = '^(%d)(%a) (%S+)'

-- Further lines: where sign-ons moved on to. Name, and by what the sign-on is known: bound at, sub, sid.
local MOVED = '(%S+) (%S+) (%S+) (%S*)'

local function load(key)
  local record = redis.call('GET', key)
  if not record then return { flag = '', till = '0', to = '' } end
  local state, flag, iat, at, exp, sub, sid, id, till = fields_of(record)
  if not state then state, flag, till = string.match(record, ENDING) end
  local to = flag ~= '' and string.match(record, '\n.*') or ''
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

-- An id that moved on and is then ended hands its sign-on to nobody any more, and still tells where it went: a repeat
-- follows, too.
local function set_end(session, flag, till)
  session.flag, session.till = flag, later(till, session.till)
  if flag ~= 'm' and not session.bound then session.sub = nil end
end

local function is_signon(session, at, sub, sid)
  return session.sub == sub and session.sid == sid and session.at == at
end

-- Whether a login was bound under this id after that sign-on: it has the id, and that sign-on comes too late.
local function is_later(session, at)
  return session.bound and session.at - at > 0
end

-- Of a sign-on that is bound once more the earlier end stands: only a login that was begun afterwards is another.
local function keep_end(session, older)
  if not older.bound or older.sub ~= session.sub or older.sid ~= session.sid then return end
  local _, _, older_end = string.match(older.iat, LOGIN)
  if older_end == '' then return end
  local iat, begun, own_end, rest = string.match(session.iat, LOGIN)
  if begun ~= '' and begun * 1000000 - older.at > 0 then return end
  if own_end == '' or own_end - older_end > 0 then session.iat = iat .. '/' .. begun .. '/' .. older_end .. rest end
end

local function moved_to(session, name)
  local pointer = '\n' .. name .. ' ' .. session.at .. ' ' .. session.sub .. ' ' .. session.sid
  if not string.find(session.to .. '\n', pointer .. '\n', 1, true) then session.to = session.to .. pointer end
end

-- Ends a session for good, or, where a sign-on was followed to it, if it is still that sign-on's. Returns whether it is
-- ended.
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
