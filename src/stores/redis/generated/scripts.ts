// Generated from redis/lua by `npm run embed`: do not edit. A script is one operation with only the parts it needs.
// biome-ignore-all format: a list of names is easier to read on one line.

const SPARE_SECONDS = `local SPARE_SECONDS = 60`

const clock = `local clock, clock_text`

const now = `local function now()
  if not clock then
    local time = redis.call('TIME')
    clock_text = time[1] .. string.sub('00000' .. time[2], -6)
    clock = tonumber(clock_text)
  end
  return clock
end`

const later = `local function later(one, other)
  return tonumber(other) > tonumber(one) and other or one
end`

const milliseconds = `local function milliseconds(time)
  return math.ceil(time * 1000)
end`

const ends_before = `local function ends_before(left, till)
  return left < 0 or now() / 1000 + left < tonumber(till)
end`

const keep_until = `local function keep_until(key, till)
  if ends_before(redis.call('PTTL', key), till) then redis.call('PEXPIREAT', key, till) end
end`

const SKEW_SECONDS = `local SKEW_SECONDS = 5`

const UNDER_WAY_SECONDS = `local UNDER_WAY_SECONDS = 60`

const covers = `local function covers(scope, mark_iat, seen, dates, at)
  local iat, begun = string.match(dates, '^([^/]*)/?([^/]*)')
  if begun ~= '' and begun * 1000000 - seen > 0 then return false end
  local bound = at - seen <= 0
  if mark_iat == '-' then return bound end
  if iat == '' then return true end
  local after = iat - mark_iat
  return after <= 0 or (bound and after <= SKEW_SECONDS) or (scope == 'sid' and after <= UNDER_WAY_SECONDS)
end`

const covers_all_of = `local function covers_all_of(scope, sub, iat, seen, of_scope, of_sub, of_iat, of_seen)
  if scope ~= of_scope and not (scope == 'sub' and of_scope == 'sidless') then return false end
  if scope == 'token' then return true end
  if sub ~= '' and sub ~= of_sub then return false end
  if seen - of_seen < 0 then return false end
  if iat == '-' or of_iat == '-' then return iat == of_iat end
  return iat - of_iat >= 0
end`

const dates_of = `local function dates_of(opened)
  return string.match(opened, '(%S+) (%S+)$')
end`

const close_jti = `local function close_jti(key, done, till)
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
end`

const LOG_SECONDS = `local LOG_SECONDS = 300`

const append_log = `local function append_log(log, fields)
  if #fields == 0 then return end
  for first = 1, #fields, 1000 do
    redis.call('XADD', log, '*', unpack(fields, first, math.min(first + 999, #fields)))
  end
  local kept = now() / 1000 + LOG_SECONDS * 1000
  if ends_before(redis.call('PTTL', log), kept) then
    redis.call('XTRIM', log, 'MINID', '~', math.floor(now() / 1000 - LOG_SECONDS * 1000), 'LIMIT', 0)
    redis.call('PEXPIREAT', log, math.ceil(kept) + SPARE_SECONDS * 1000)
  end
  redis.pcall('PUBLISH', log, '')
end`

const read_log = `local function read_log(log, after, read_at, count)
  now()
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if after == '' then return { clock_text, last and last[1] or '0-0' } end
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
end`

const MARK = `local MARK = '(%S+) (%S+) (%S*) (%S+) (%S+) (%S+)'`

const write_mark = `local function write_mark(name, till, scope, key, sub, iat, seen, exp)
  local head = scope .. ' ' .. key .. ' ' .. sub .. ' ' .. iat .. ' ' .. seen .. ' '
  local mark = head .. exp
  local old = redis.call('SET', name, mark, 'PXAT', till, 'GET')
  if not old then return mark, exp end
  local marks, last, is_kept = {}, exp, true
  for line in string.gmatch(old, '[^\\n]+') do
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
  redis.call('SET', name, table.concat(marks, '\\n'), 'PXAT', milliseconds(last))
  return mark, last
end`

const bound_after = `local function bound_after(key, marks, at)
  for line in string.gmatch(marks or '', '[^\\n]+') do
    local _, of, _, _, seen = string.match(line, MARK)
    if of == key then at = math.max(at, tonumber(seen) + 1) end
  end
  return at
end`

const register_mark = `local function register_mark(registry, name, till)
  redis.call('ZADD', registry, 'GT', till, name)
  local is_short = ends_before(redis.call('PTTL', registry), till)
  if is_short or now() % 64 == 0 then
    redis.call('ZREMRANGEBYSCORE', registry, '-inf', math.floor(now() / 1000))
  end
  if is_short then
    redis.call('PEXPIREAT', registry, tonumber(till) + SPARE_SECONDS * 1000)
  end
end`

const name_of = `local function name_of(key)
  return string.sub(key, 1, 16)
end`

const PAGE = `local PAGE = 500`

const index_add = `local function index_add(key, name, exp)
  local left, score = redis.call('PTTL', key), math.ceil(exp)
  redis.call('ZADD', key, 'GT', score, name)
  if left >= 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', math.floor(now() / 1000000)) end
  if ends_before(left, score * 1000) then redis.call('PEXPIREAT', key, score * 1000) end
end`

const page_of = `local function page_of(index_key, after, room)
  if after == '' then
    local names = redis.call('ZRANGE', index_key, 0, room)
    if #names <= room then return names, nil end
    after = '0'
  end
  local page = redis.call('ZSCAN', index_key, after, 'COUNT', room)
  local names = {}
  for i = 1, #page[2], 2 do names[#names + 1] = page[2][i] end
  return names, page[1] ~= '0' and page[1] or nil
end`

const RECORD = `local RECORD = '^(%d)(%a?) (%S*) (%S+) (%S+) (%S+) (%S*) (%S+) ?(%S*)'`

const LOGIN = `local LOGIN = '^([^/]*)/?([^/]*)/?([^/]*)(.*)$'`

const ENDING = `local ENDING = '^(%d)(%a) (%S+)'`

const MOVED = `local MOVED = '(%S+) (%S+) (%S+) (%S*)'`

const load = `local function load(key)
  local record = redis.call('GET', key)
  if not record then return { flag = '', till = '0', to = '' } end
  local state, flag, iat, at, exp, sub, sid, id, till = string.match(record, RECORD)
  if not state then state, flag, till = string.match(record, ENDING) end
  local to = string.match(record, '\\n.*') or ''
  if flag == '' or tonumber(till) * 1000000 <= now() then flag, till, to = '', '0', '' end
  local bound = (state == '1' or state == '3') and tonumber(exp) * 1000000 > now()
  if not bound and flag ~= 'm' then sub = nil end
  return {
    flag = flag, till = till, to = to, bound = bound, tokens = state >= '2',
    iat = iat, at = at, exp = exp, sub = sub, sid = sid, id = id,
  }
end`

const save = `local function save(key, session)
  if not session.bound and session.flag == '' then return redis.call('DEL', key) end
  local record, till = (session.bound and 1 or 0) + (session.tokens and 2 or 0) .. session.flag, session.till
  if session.sub then
    record = record .. ' ' .. session.iat .. ' ' .. session.at .. ' ' .. session.exp
      .. ' ' .. session.sub .. ' ' .. session.sid .. ' ' .. session.id
  end
  if session.flag ~= '' then record = record .. ' ' .. till .. session.to end
  if session.bound then till = later(till, session.exp) end
  redis.call('SET', key, record, 'PXAT', milliseconds(till))
end`

const set_end = `local function set_end(session, flag, till)
  session.flag, session.till = flag, later(till, session.till)
  if flag ~= 'm' and not session.bound then session.sub = nil end
end`

const is_signon = `local function is_signon(session, at, sub, sid)
  return session.sub == sub and session.sid == sid and session.at == at
end`

const keep_end = `local function keep_end(session, older)
  if not older.bound or older.sub ~= session.sub or older.sid ~= session.sid then return end
  local _, _, older_end = string.match(older.iat, LOGIN)
  if older_end == '' then return end
  local iat, begun, own_end, rest = string.match(session.iat, LOGIN)
  if begun ~= '' and begun * 1000000 - older.at > 0 then return end
  if own_end == '' or own_end - older_end > 0 then session.iat = iat .. '/' .. begun .. '/' .. older_end .. rest end
end`

const moved_to = `local function moved_to(session, name)
  local pointer = '\\n' .. name .. ' ' .. session.at .. ' ' .. session.sub .. ' ' .. session.sid
  if not string.find(session.to .. '\\n', pointer .. '\\n', 1, true) then session.to = session.to .. pointer end
end`

const end_locally = `local function end_locally(session, till, at, sub, sid)
  if at and not is_signon(session, at, sub, sid) then return false end
  if session.sub then till = later(till, session.exp) end
  if not at or session.flag == 'm' then
    set_end(session, 'x', till)
  elseif session.flag == '' then
    set_end(session, 'i', till)
  end
  return true
end`

const leave_behind = `local function leave_behind(session, tokens_key, to_name, exp)
  session.bound = false
  if session.flag == 'x' or session.flag == 'i' then
    if session.tokens then redis.call('DEL', tokens_key) end
    session.sub, session.tokens = nil, false
  else
    moved_to(session, to_name)
    set_end(session, 'm', exp)
    if session.tokens then keep_until(tokens_key, milliseconds(session.till)) end
  end
end`

const pointers_of = `local function pointers_of(session, of_at, of_sub, of_sid)
  local pointers = {}
  for name, at, sub, sid in string.gmatch(session.to, MOVED) do
    if not of_at or (at == of_at and sub == of_sub and sid == of_sid) then
      pointers[#pointers + 1] = { name, at, sub, sid }
    end
  end
  return pointers
end`

const add_tokens = `local function add_tokens(key, session, list, first)
  if #list < first then return end
  for i = first, #list do redis.call('SADD', key, list[i]) end
  keep_until(key, milliseconds(session.exp))
  session.tokens = true
end`

const put_tokens = `local function put_tokens(key, session, older, list, first)
  local same = older.bound and older.sub == session.sub and older.sid == session.sid
  session.tokens = older.tokens and same
  if session.tokens then
    keep_until(key, milliseconds(session.exp))
  elseif older.tokens then
    redis.call('DEL', key)
  end
  add_tokens(key, session, list, first)
end`

const tokens_of = `local function tokens_of(key, session)
  return session.tokens and redis.call('SMEMBERS', key) or {}
end`

const prefix = `local prefix = ARGV[1]`

const of_session = `local function of_session(name)
  return prefix .. 's' .. name, prefix .. 't' .. name
end`

const of_key = `local function of_key(kind, key)
  return prefix .. kind .. name_of(key)
end`

const other_index = `local function other_index(sub, sid)
  if sid == '' then return of_key('u', sub) end
  return of_key('i', sid)
end`

const index = `local function index(name, session)
  index_add(of_key('i', session.sub), name, session.exp)
  index_add(other_index(session.sub, session.sid), name, session.exp)
end`

const unindex = `local function unindex(name, session)
  redis.call('ZREM', of_key('i', session.sub), name)
  redis.call('ZREM', other_index(session.sub, session.sid), name)
end`

const put = `local function put(name, signon, list, first, is_login)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if session.bound then
    unindex(name, session)
    append_log(prefix .. 'log', { 's', signon.id })
  end
  if is_login then keep_end(signon, session) end
  if is_login and session.flag == 'i' then session.flag, session.till = '', '0' end
  signon.flag, signon.till, signon.to, signon.bound = session.flag, session.till, session.to, true
  put_tokens(tokens_key, signon, session, list, first)
  save(key, signon)
  index(name, signon)
  return signon
end`

const unbind = `local function unbind(name)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if not session.bound then return end
  unindex(name, session)
  if session.tokens then redis.call('DEL', tokens_key) end
  session.sub, session.bound, session.tokens = nil, false, false
  save(key, session)
end`

const marks_against = `local function marks_against(sub, sid)
  if sid == '' then return { redis.call('GET', of_key('m', sub)), false } end
  return redis.call('MGET', of_key('m', sub), of_key('m', sid))
end`

const state_of = `local function state_of(name)
  local record = redis.call('GET', prefix .. 's' .. name)
  if not record then return {} end
  local state, flag, _, _, _, sub, sid = string.match(record, RECORD)
  if state ~= '1' and state ~= '3' then
    now()
    return { record, clock_text }
  end
  local marks = marks_against(sub, sid)
  if flag == '' and not marks[1] and not marks[2] then return { record } end
  now()
  return { record, clock_text, marks[1] or '', marks[2] or '' }
end`

export const STANDALONE_SCRIPTS = {
  addTokens: [clock, now, RECORD, ENDING, load, later, milliseconds, save, ends_before, keep_until, add_tokens, prefix, of_session, name_of, of_key, marks_against, state_of, `local name = ARGV[2]
local key, tokens_key = of_session(name)
local session = load(key)
if session.bound then
  add_tokens(tokens_key, session, ARGV, 3)
  save(key, session)
end
return state_of(name)
`].join('\n'),
  begin: [clock, now, milliseconds, SKEW_SECONDS, UNDER_WAY_SECONDS, covers, dates_of, SPARE_SECONDS, ends_before, LOG_SECONDS, append_log, later, covers_all_of, MARK, write_mark, register_mark, name_of, PAGE, page_of, RECORD, prefix, of_key, other_index, `local function row_of(rows, id)
  if not string.find(id, '%', 1, true) then return rows .. id end
  return rows .. string.gsub(id, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
end
local function end_tokens(tokens_key, till, iat, seen, exp, fields, tokens)
  for _, token in ipairs(redis.call('SMEMBERS', tokens_key)) do
    local name = name_of(token)
    local mark, last = write_mark(prefix .. 'm' .. name, till, 'token', token, '', iat, seen, exp)
    register_mark(prefix .. 'marks', name, milliseconds(last))
    fields[#fields + 1], fields[#fields + 2] = 'm', mark
    tokens[#tokens + 1] = token
  end
end

local call = redis.call
local scope, key, sub, iat, exp, till, ago, jti, jti_till, may_destroy, from, after, seen, rows = unpack(ARGV, 2, 15)
local opened = jti ~= '' and call('GET', prefix .. 'j' .. jti)
if opened and string.sub(opened, 1, 9) == 'completed' then return { 'replayed' } end

local name, log = name_of(key), prefix .. 'log'
local indexes = { prefix .. 'i' .. name }
if scope == 'token' then indexes = {} elseif scope == 'sid' and sub ~= '' then indexes[2] = of_key('u', sub) end
local names, records, of_index, next_index, next_after = {}, {}, {}, '', ''
for i = tonumber(from), #indexes do
  if #names >= PAGE then
    next_index, next_after = i, ''
    break
  end
  local more, position = page_of(indexes[i], after, PAGE - #names)
  for _, each in ipairs(more) do
    names[#names + 1] = each
    of_index[#names] = i
  end
  if position then
    next_index, next_after = i, position
    break
  end
  after = ''
end

local is_first = seen == ''
if is_first then seen = ago == '0' and now() and clock_text or string.format('%.0f', now() - ago) end
for i, each in ipairs(names) do
  local record = call('GET', prefix .. 's' .. each)
  records[i] = record
  local at = is_first and ago == '0' and record and string.match(record, '^[13]%a? %S* (%S+)')
  if at and at - seen > 0 then seen = at end
end
if opened then iat, seen = dates_of(opened) end

local mark, last = write_mark(prefix .. 'm' .. name, till, scope, key, sub, iat, seen, exp)
register_mark(prefix .. 'marks', name, last == exp and till or milliseconds(last))
local fields, ids, tokens, mismatched, without_sid, not_deleted = { 'm', mark }, {}, {}, 0, 0, 0
if indexes[2] then
  local named = name_of(sub)
  fields[3] = 'm'
  fields[4], last = write_mark(prefix .. 'm' .. named, till, 'sidless', sub, '', iat, seen, exp)
  register_mark(prefix .. 'marks', named, milliseconds(last))
end
local destroys = may_destroy == '1' and rows ~= nil and is_first and next_index == ''
local all_gone = destroys
for i, each in ipairs(names) do
  local state, flag, dates, at, s_exp, s_sub, s_sid, id, kept = string.match(records[i] or '', RECORD)
  if (state ~= '1' and state ~= '3') or (flag ~= '' and s_exp * 1000000 <= now()) then
    call('ZREM', indexes[of_index[i]], each)
  else
    local kind = of_index[i] == 2 and 'sidless' or scope
    local is_named
    if kind == 'sidless' then is_named = s_sid == '' and s_sub == sub
    elseif (scope == 'sid' and s_sid or s_sub) ~= key then is_named = false
    elseif sub ~= '' and sub ~= s_sub then mismatched = mismatched + 1
    else is_named = true end
    if is_named and covers(kind, iat, seen, dates, at) then
      local ended, ended_till = exp, till
      if s_exp - exp > 0 then ended, ended_till = s_exp, milliseconds(s_exp) end
      if flag ~= '' and kept - ended > 0 then ended, ended_till = kept, milliseconds(kept) end
      if state == '3' then end_tokens(prefix .. 't' .. each, ended_till, iat, seen, ended, fields, tokens) end
      local gone = destroys and redis.pcall('UNLINK', row_of(rows, id))
      if gone and type(gone) ~= 'number' then
        destroys, all_gone, gone = false, false, false
      elseif gone == 0 then
        all_gone, gone, not_deleted = false, false, not_deleted + 1
      end
      local record
      if gone then
        record = '0x ' .. ended
        call('ZREM', of_key('i', s_sub), each)
        call('ZREM', other_index(s_sub, s_sid), each)
        if state == '3' then call('DEL', prefix .. 't' .. each) end
      else
        record = state .. 'x ' .. dates .. ' ' .. at .. ' ' .. s_exp .. ' ' .. s_sub .. ' ' .. s_sid .. ' ' .. id .. ' ' .. ended
      end
      call('SET', prefix .. 's' .. each, record, 'PXAT', ended_till)
      ids[#ids + 1] = id
      if scope == 'sid' and s_sid == '' then without_sid = without_sid + 1 end
      fields[#fields + 1] = 'e'
      fields[#fields + 1] = id
    end
  end
end
append_log(log, fields)
local finished = all_gone or (may_destroy == '1' and is_first and next_index == '' and not ids[1])
if jti ~= '' then
  call('SET', prefix .. 'j' .. jti, (finished and 'completed ' or '') .. iat .. ' ' .. seen, 'PXAT', jti_till)
end
return {
  mark, finished and 1 or 0, mismatched, table.concat(ids, ' '), table.concat(tokens, ' '), without_sid, not_deleted,
  next_index, next_after,
}
`].join('\n'),
  bind: [clock, now, MARK, bound_after, SPARE_SECONDS, ends_before, LOG_SECONDS, append_log, RECORD, ENDING, load, later, milliseconds, save, LOGIN, keep_end, keep_until, add_tokens, put_tokens, prefix, of_session, index_add, name_of, of_key, other_index, index, unindex, put, marks_against, `local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
local marks = marks_against(sub, sid)
local at = bound_after(sid, marks[2] or '', bound_after(sub, marks[1], now()))
at = at == now() and clock_text or string.format('%.0f', at)
local session = put(name, { id = id, sub = sub, sid = sid, iat = iat, at = at, exp = exp }, ARGV, 8, true)
return { at, session.flag, clock_text, marks[1] or '', marks[2] or '', session.iat }
`].join('\n'),
  complete: [dates_of, close_jti, prefix, clock, now, RECORD, ENDING, load, later, milliseconds, save, of_session, name_of, of_key, other_index, unindex, unbind, `for i = 5, #ARGV do unbind(ARGV[i]) end
if ARGV[2] ~= '' then close_jti(prefix .. 'j' .. ARGV[2], ARGV[4] == '1', ARGV[3]) end
return {}
`].join('\n'),
  endSessions: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, append_log, RECORD, ENDING, load, later, milliseconds, save, set_end, is_signon, end_locally, MOVED, pointers_of, tokens_of, prefix, of_session, `local exp, walk, seen, fields, ids, tokens = ARGV[2], {}, {}, {}, {}, {}
for i = 3, #ARGV, 2 do walk[#walk + 1] = { name = ARGV[i], id = ARGV[i + 1] } end
local i = 1
while walk[i] do
  local step = walk[i]
  local key, tokens_key = of_session(step.name)
  local session = load(key)
  local id, their = step.id or session.id, tokens_of(tokens_key, session)
  if end_locally(session, exp, step.at, step.sub, step.sid) then
    save(key, session)
    ids[#ids + 1] = id
    fields[#fields + 1], fields[#fields + 2] = 'e', id
    for _, token in ipairs(their) do tokens[#tokens + 1] = token end
  end
  for _, pointer in ipairs(pointers_of(session, step.at, step.sub, step.sid)) do
    local followed = table.concat(pointer, ' ')
    if not seen[followed] then
      seen[followed] = true
      walk[#walk + 1] = { name = pointer[1], at = pointer[2], sub = pointer[3], sid = pointer[4] }
    end
  end
  i = i + 1
end
append_log(prefix .. 'log', fields)
return { ids, tokens }
`].join('\n'),
  isBound: [PAGE, page_of, clock, now, RECORD, ENDING, load, prefix, name_of, of_key, ends_before, index_add, other_index, index, `local key = ARGV[2]
local index, after = of_key('i', key), ''
repeat
  local names
  names, after = page_of(index, after, PAGE)
  for _, name in ipairs(names) do
    local session = load(prefix .. 's' .. name)
    if session.bound and (session.sid == key or session.sub == key) then return { 1 } end
  end
until not after
return { 0 }
`].join('\n'),
  list: [PAGE, page_of, clock, now, RECORD, ENDING, load, prefix, of_session, name_of, of_key, `local scope, key, after = unpack(ARGV, 2, 4)
local names, position = page_of(of_key('i', key), after, PAGE)
local reply = { position or '' }
for _, name in ipairs(names) do
  local session = load((of_session(name)))
  if session.bound and (scope == 'sid' and session.sid or session.sub) == key then
    reply[#reply + 1], reply[#reply + 2] = session.id, session.iat
  end
end
return reply
`].join('\n'),
  marks: [clock, now, name_of, prefix, of_key, `now()
local reply = { clock_text }
for i = 2, #ARGV do reply[i] = redis.call('GET', of_key('m', ARGV[i])) or '' end
return reply
`].join('\n'),
  readLog: [clock, now, LOG_SECONDS, read_log, prefix, `return read_log(prefix .. 'log', ARGV[2], ARGV[3], ARGV[4])
`].join('\n'),
  read: [clock, now, RECORD, prefix, name_of, of_key, marks_against, state_of, `return state_of(ARGV[2])
`].join('\n'),
  rebind: [later, SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, append_log, RECORD, ENDING, load, milliseconds, save, set_end, keep_until, moved_to, leave_behind, tokens_of, prefix, of_session, name_of, of_key, other_index, unindex, LOGIN, keep_end, add_tokens, put_tokens, index_add, index, put, marks_against, state_of, `local from_name, from_id, to_name, to_id, exp = unpack(ARGV, 2, 6)
local from_key, tokens_key = of_session(from_name)
local from = load(from_key)
local inherits = from.flag == 'x' or from.flag == 'i'
local till = from.till
if from.sub then
  local moved = { id = to_id, sub = from.sub, sid = from.sid, iat = from.iat, at = from.at, exp = later(from.exp, exp) }
  put(to_name, moved, tokens_of(tokens_key, from), 1)
  if from.bound then unindex(from_name, from) end
  leave_behind(from, tokens_key, to_name, moved.exp)
  save(from_key, from)
  append_log(prefix .. 'log', { 's', from_id, 'v', from_id .. ' ' .. to_id })
end
if inherits then
  local to_key = of_session(to_name)
  local to = load(to_key)
  if to.flag == '' then
    set_end(to, 'i', later(till, exp))
    save(to_key, to)
    append_log(prefix .. 'log', { 's', to_id })
  end
end
return state_of(to_name)
`].join('\n'),
  renew: [milliseconds, clock, now, ends_before, keep_until, RECORD, ENDING, load, later, save, prefix, of_session, index_add, name_of, of_key, other_index, index, `local name, exp = ARGV[2], ARGV[3]
local key, tokens_key = of_session(name)
local session = load(key)
if not session.bound or tonumber(session.exp) >= tonumber(exp) then return {} end
session.exp = exp
save(key, session)
index(name, session)
if session.tokens then keep_until(tokens_key, milliseconds(exp)) end
return {}
`].join('\n'),
  scanMarks: [clock, now, prefix, `now()
local page = redis.call('ZSCAN', prefix .. 'marks', ARGV[2], 'COUNT', ARGV[3])
local reply = { page[1], clock_text }
for i = 1, #page[2], 2 do reply[#reply + 1] = redis.call('GET', prefix .. 'm' .. page[2][i]) or '' end
return reply
`].join('\n'),
  unbind: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, append_log, prefix, RECORD, ENDING, load, later, milliseconds, save, of_session, name_of, of_key, other_index, unindex, unbind, `local fields = {}
for i = 2, #ARGV, 2 do
  unbind(ARGV[i])
  fields[i - 1], fields[i] = 's', ARGV[i + 1]
end
append_log(prefix .. 'log', fields)
return {}
`].join('\n'),
}

export const CLUSTER_SCRIPTS = {
  addTokens: [clock, now, RECORD, ENDING, load, later, milliseconds, save, ends_before, keep_until, add_tokens, `local session = load(KEYS[1])
if session.bound then
  add_tokens(KEYS[2], session, ARGV, 1)
  save(KEYS[1], session)
end
return {}
`].join('\n'),
  append: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, append_log, `append_log(KEYS[1], ARGV)
return {}
`].join('\n'),
  clock: [clock, now, `now()
return { clock_text }
`].join('\n'),
  close: [dates_of, close_jti, `close_jti(KEYS[1], ARGV[1] == '1', ARGV[2])
return {}
`].join('\n'),
  finishCovered: [later, SKEW_SECONDS, UNDER_WAY_SECONDS, covers, clock, now, RECORD, ENDING, load, milliseconds, save, set_end, tokens_of, `local scope, key, sub, iat, seen, exp = unpack(ARGV, 1, 6)
local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.sub or (scope == 'sid' and session.sid or session.sub) ~= key then return { 'none' } end
if scope == 'sidless' and session.sid ~= '' then return { 'none' } end
if sub ~= '' and sub ~= session.sub then return { 'mismatched' } end
if not covers(scope, iat, seen, session.iat, session.at) then return { 'none' } end
local till = later(exp, session.exp)
set_end(session, 'x', till)
save(KEYS[1], session)
return { 'covered', session.id, till, tokens_of(KEYS[2], session), session.sid }
`].join('\n'),
  finish: [clock, now, RECORD, ENDING, load, later, milliseconds, save, set_end, is_signon, end_locally, MOVED, pointers_of, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local tokens, id = tokens_of(KEYS[2], session), session.id or ''
local till, at, sub, sid = unpack(ARGV, 1, 4)
local ended = end_locally(session, till, at, sub, sid)
if ended then save(KEYS[1], session) end
return { ended and 1 or 0, id, tokens, pointers_of(session, at, sub, sid) }
`].join('\n'),
  index: [clock, now, ends_before, index_add, `index_add(KEYS[1], ARGV[1], ARGV[2])
now()
return { clock_text }
`].join('\n'),
  inherit: [clock, now, RECORD, ENDING, load, later, milliseconds, save, set_end, `local session = load(KEYS[1])
if session.flag == '' then
  set_end(session, 'i', ARGV[1])
  save(KEYS[1], session)
end
return {}
`].join('\n'),
  leave: [clock, now, RECORD, ENDING, load, later, milliseconds, save, is_signon, ends_before, keep_until, set_end, moved_to, leave_behind, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local at, sub, sid, exp, to_name = unpack(ARGV, 1, 5)
if not session.sub then return { session.flag, session.till, {} } end
if not is_signon(session, at, sub, sid) or tonumber(session.exp) > tonumber(exp) then return { 'changed' } end
local tokens = tokens_of(KEYS[2], session)
leave_behind(session, KEYS[2], to_name, exp)
save(KEYS[1], session)
return { session.flag, session.till, tokens }
`].join('\n'),
  lookWithTokens: [clock, now, RECORD, ENDING, load, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local reply = { session.flag, session.bound and 1 or 0 }
if session.sub then
  reply[3], reply[4] = { session.iat, session.at, session.exp, session.sub, session.sid }, tokens_of(KEYS[2], session)
end
return reply
`].join('\n'),
  look: [clock, now, RECORD, ENDING, load, `local session = load(KEYS[1])
local reply = { session.flag, session.bound and 1 or 0 }
if session.sub then reply[3] = { session.iat, session.at, session.exp, session.sub, session.sid, session.id } end
return reply
`].join('\n'),
  mark: [clock, now, later, milliseconds, covers_all_of, MARK, write_mark, `return { (write_mark(KEYS[1], unpack(ARGV, 1, 7))) }
`].join('\n'),
  marks: [clock, now, `now()
return { clock_text, redis.call('GET', KEYS[1]) or '' }
`].join('\n'),
  open: [dates_of, `local opened = redis.call('GET', KEYS[1])
if opened and string.sub(opened, 1, 9) == 'completed' then return { 'replayed' } end
local iat, seen = ARGV[1], ARGV[2]
if opened then iat, seen = dates_of(opened) end
redis.call('SET', KEYS[1], iat .. ' ' .. seen, 'PXAT', ARGV[3])
return { iat, seen }
`].join('\n'),
  page: [PAGE, page_of, `local names, after = page_of(KEYS[1], ARGV[1], PAGE)
return { after or '', names }
`].join('\n'),
  put: [clock, now, RECORD, ENDING, load, later, milliseconds, save, LOGIN, keep_end, ends_before, keep_until, add_tokens, put_tokens, `local older, session = load(KEYS[1]), { bound = true }
if older.tokens and not KEYS[2] then return { 'with tokens' } end
session.flag, session.till, session.to = older.flag, older.till, older.to
if ARGV[1] == '1' and session.flag == 'i' then session.flag, session.till = '', '0' end
session.id, session.sub, session.sid, session.iat, session.at, session.exp = unpack(ARGV, 2, 7)
if ARGV[1] == '1' then keep_end(session, older) end
put_tokens(KEYS[2], session, older, ARGV, 8)
save(KEYS[1], session)
return { session.flag, older.bound and 1 or 0, session.iat }
`].join('\n'),
  readLog: [clock, now, LOG_SECONDS, read_log, `return read_log(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
`].join('\n'),
  register: [SPARE_SECONDS, clock, now, ends_before, register_mark, `register_mark(KEYS[1], ARGV[1], ARGV[2])
return {}
`].join('\n'),
  renew: [milliseconds, clock, now, ends_before, keep_until, RECORD, ENDING, load, later, save, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound or tonumber(session.exp) >= tonumber(ARGV[1]) then return {} end
session.exp = ARGV[1]
save(KEYS[1], session)
if session.tokens then keep_until(KEYS[2], milliseconds(session.exp)) end
return {}
`].join('\n'),
  scanRegistry: [`local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local reply = { page[1] }
for i = 1, #page[2], 2 do reply[#reply + 1] = page[2][i] end
return reply
`].join('\n'),
  unbind: [clock, now, RECORD, ENDING, load, later, milliseconds, save, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound then return {} end
local reply = { session.flag, session.sub, session.sid }
if session.tokens then redis.call('DEL', KEYS[2]) end
session.sub, session.bound, session.tokens = nil, false, false
save(KEYS[1], session)
return reply
`].join('\n'),
  unindex: [`redis.call('ZREM', KEYS[1], ARGV[1])
return {}
`].join('\n'),
}
