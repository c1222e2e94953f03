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
  local iat, begun = dates, ''
  if string.find(dates, '/', 1, true) then iat, begun = string.match(dates, '^([^/]*)/?([^/]*)') end
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

const keep_log = `local function keep_log(log)
  local kept = now() / 1000 + LOG_SECONDS * 1000
  if not ends_before(redis.call('PTTL', log), kept) then return end
  redis.call('XTRIM', log, 'MINID', '~', math.floor(now() / 1000 - LOG_SECONDS * 1000), 'LIMIT', 0)
  redis.call('PEXPIREAT', log, math.ceil(kept) + SPARE_SECONDS * 1000)
end`

const append_log = `local function append_log(log, fields)
  if #fields == 0 then return end
  for first = 1, #fields, 1000 do
    redis.call('XADD', log, '*', unpack(fields, first, math.min(first + 999, #fields)))
  end
  keep_log(log)
  redis.pcall('PUBLISH', log, '')
end`

const QUIET_SECONDS = `local QUIET_SECONDS = 100`

const time_of = `local function time_of(id)
  return tonumber(string.match(id, '^%d+'))
end`

const newest_of = `local function newest_of(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if last and now() / 1000 - time_of(last[1]) < QUIET_SECONDS * 1000 then return last end
  pcall(function()
    local id = string.sub(clock_text, 1, -4) .. '-1' .. string.sub(clock_text, -3)
    local begun = not last and redis.pcall('XADD', log, id, 'h', '')
    if type(begun) == 'string' then keep_log(log) else append_log(log, { 'h', '' }) end
  end)
  return redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end`

const read_log = `local function read_log(log, after, read_at, count)
  now()
  local milliseconds_after = after == '' and 0 or time_of(after)
  local is_young = milliseconds_after > 0 and now() / 1000 - milliseconds_after < LOG_SECONDS * 1000
  if is_young and not redis.call('XRANGE', log, after, after)[1] then return { clock_text } end
  local last = newest_of(log)
  if after == '' then return { clock_text, last and last[1] or '0-0' } end
  local lost_since = last and time_of(last[1]) < milliseconds_after
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
  if marks[1] == mark and not marks[2] and last == exp then return mark, exp end
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

const register_marks = `local function register_marks(registry, names)
  local till = names[1]
  for i = 3, #names, 2 do
    if names[i] ~= till then till = later(till, names[i]) end
  end
  for first = 1, #names, 1000 do
    redis.call('ZADD', registry, 'GT', unpack(names, first, math.min(first + 999, #names)))
  end
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

const PAGE = `local PAGE = 200`

const PAGE_TEXT = `local PAGE_TEXT = '200'`

const PRUNED = `local PRUNED = 200`

const index_add = `local function index_add(key, name, exp)
  local left, score = redis.call('PTTL', key), string.format('%d', math.ceil(exp))
  redis.call('ZADD', key, 'GT', score, name)
  if left < 0 then return redis.call('PEXPIREAT', key, score .. '000') end
  local over = redis.call('ZCOUNT', key, '-inf', math.floor(now() / 1000000))
  if over > 0 then redis.call('ZREMRANGEBYRANK', key, 0, math.min(over, PRUNED) - 1) end
  if ends_before(left, score .. '000') then redis.call('PEXPIREAT', key, score .. '000') end
end`

const page_of = `local function page_of(index_key, after, room)
  local names
  if after == '' and room <= PAGE then
    names = redis.call('ZRANGE', index_key, '0', PAGE_TEXT)
  else
    local function is_after(name, other)
      for i = 1, math.min(#name, #other) do
        local mine, yours = string.byte(name, i), string.byte(other, i)
        if mine ~= yours then return mine > yours end
      end
      return #name > #other
    end
    local first = 0
    if after ~= '' then
      local score, name = string.match(after, '^(%S+) (%S+)$')
      first = redis.call('ZCOUNT', index_key, '-inf', '(' .. score)
      local last = redis.call('ZCOUNT', index_key, '-inf', score)
      while first < last do
        local middle = math.floor((first + last) / 2)
        if is_after(redis.call('ZRANGE', index_key, middle, middle)[1], name) then
          last = middle
        else
          first = middle + 1
        end
      end
    end
    names = redis.call('ZRANGE', index_key, first, first + room)
  end
  if #names <= room then return names, nil end
  for i = #names, room + 1, -1 do names[i] = nil end
  return names, redis.call('ZSCORE', index_key, names[room]) .. ' ' .. names[room]
end`

const RECORD = `local RECORD = '^(%d)(%a?) (%S*) (%S+) (%S+) (%S+) (%S*) (%S+) ?(%S*)'`

const LOGIN = `local LOGIN = '^([^/]*)/?([^/]*)/?([^/]*)(.*)$'`

const fields_of = `local function fields_of(record)
  if string.byte(record, 2) ~= 32 then return string.match(record, RECORD) end
  local find, sub = string.find, string.sub
  local at = find(record, ' ', 3, true)
  local exp = find(record, ' ', at + 1, true)
  local of_sub = find(record, ' ', exp + 1, true)
  local of_sid = find(record, ' ', of_sub + 1, true)
  local id = find(record, ' ', of_sid + 1, true)
  return sub(record, 1, 1), '', sub(record, 3, at - 1), sub(record, at + 1, exp - 1), sub(record, exp + 1, of_sub - 1),
    sub(record, of_sub + 1, of_sid - 1), sub(record, of_sid + 1, id - 1), sub(record, id + 1), ''
end`

const ENDING = `local ENDING = '^(%d)(%a) (%S+)'`

const MOVED = `local MOVED = '(%S+) (%S+) (%S+) (%S*)'`

const load = `local function load(key)
  local record = redis.call('GET', key)
  if not record then return { flag = '', till = '0', to = '' } end
  local state, flag, iat, at, exp, sub, sid, id, till = fields_of(record)
  if not state then state, flag, till = string.match(record, ENDING) end
  local to = flag ~= '' and string.match(record, '\\n.*') or ''
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

const is_later = `local function is_later(session, at)
  return session.bound and session.at - at > 0
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

const unite_tokens = `local function unite_tokens(key, session, older, list, first)
  if #list < first or session.sub ~= older.sub or session.sid ~= older.sid then return false end
  add_tokens(key, session, list, first)
  return true
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
  if not is_login and is_later(session, signon.at) then
    if unite_tokens(tokens_key, session, signon, list, first) then save(key, session) end
    return session, true
  end
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
  local state, flag, _, _, _, sub, sid = fields_of(record)
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
  addTokens: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, ends_before, keep_until, add_tokens, prefix, of_session, name_of, of_key, marks_against, state_of, `local name = ARGV[2]
local key, tokens_key = of_session(name)
local session = load(key)
if session.bound then
  local had_tokens = session.tokens
  add_tokens(tokens_key, session, ARGV, 3)
  if session.tokens ~= had_tokens then save(key, session) end
end
return state_of(name)
`].join('\n'),
  begin: [clock, now, milliseconds, SKEW_SECONDS, UNDER_WAY_SECONDS, covers, dates_of, SPARE_SECONDS, ends_before, LOG_SECONDS, keep_log, append_log, later, covers_all_of, MARK, write_mark, register_marks, name_of, PAGE, PAGE_TEXT, page_of, RECORD, fields_of, prefix, of_key, other_index, `local call = redis.call
local scope, key, sub, iat, exp, till, ago, jti, jti_till, may_destroy, rows, from, after, seen = unpack(ARGV, 2)
local opened = jti ~= '' and call('GET', prefix .. 'j' .. jti)
if opened and string.sub(opened, 1, 9) == 'completed' then return { 'replayed' } end

local name, log = name_of(key), prefix .. 'log'
local indexes = { prefix .. 'i' .. name }
if scope == 'token' then indexes = {} elseif scope == 'sid' and sub ~= '' then indexes[2] = of_key('u', sub) end
local names, records, of_index, next_index, next_after = {}, {}, {}, '', ''
for i = tonumber(from or 1), #indexes do
  if #names >= PAGE then
    next_index, next_after = i, ''
    break
  end
  local more, position = page_of(indexes[i], after or '', PAGE - #names)
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

local is_first = not seen
if is_first then seen = ago == '0' and now() and clock_text or string.format('%.0f', now() - ago) end
for i, each in ipairs(names) do
  local record = call('GET', prefix .. 's' .. each)
  records[i] = record
  local at = is_first and ago == '0' and record and string.match(record, '^[13]%a? %S* (%S+)')
  if at and at - seen > 0 then seen = at end
end
if opened then iat, seen = dates_of(opened) end

local mark, last = write_mark(prefix .. 'm' .. name, till, scope, key, sub, iat, seen, exp)
local registered = { last == exp and till or milliseconds(last), name }
local fields, ids, tokens, mismatched, without_sid, not_deleted = { 'm', mark }, {}, {}, 0, 0, 0
if indexes[2] then
  local named = name_of(sub)
  fields[3] = 'm'
  fields[4], last = write_mark(prefix .. 'm' .. named, till, 'sidless', sub, '', iat, seen, exp)
  registered[3], registered[4] = last == exp and till or milliseconds(last), named
end
register_marks(prefix .. 'marks', registered)
local destroys, of_tokens = may_destroy == '2', {}
local all_gone = destroys
for i, each in ipairs(names) do
  local state, flag, dates, at, s_exp, s_sub, s_sid, id, kept = fields_of(records[i] or '0x 0')
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
      if state == '3' then
        for _, token in ipairs(call('SMEMBERS', prefix .. 't' .. each)) do
          local of_token = name_of(token)
          local line, kept_till = write_mark(prefix .. 'm' .. of_token, ended_till, 'token', token, '', iat, seen, ended)
          of_tokens[#of_tokens + 1], of_tokens[#of_tokens + 2] = milliseconds(kept_till), of_token
          fields[#fields + 1], fields[#fields + 2] = 'm', line
          tokens[#tokens + 1] = token
        end
      end
      local row = id
      if destroys and string.find(id, '%', 1, true) then
        row = string.gsub(id, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
      end
      local gone = destroys and redis.pcall('UNLINK', rows .. row)
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
if of_tokens[1] then register_marks(prefix .. 'marks', of_tokens) end
append_log(log, fields)
local finished = is_first and next_index == '' and (all_gone or (may_destroy ~= '' and not ids[1]))
if jti ~= '' then
  call('SET', prefix .. 'j' .. jti, (finished and 'completed ' or '') .. iat .. ' ' .. seen, 'PXAT', jti_till)
end
local done = finished and 2 or all_gone and 1 or 0
ids = table.concat(ids, ' ')
if mismatched + without_sid + not_deleted == 0 and not tokens[1] and next_index == '' then return { mark, done, ids } end
return { mark, done, ids, table.concat(tokens, ' '), mismatched, without_sid, not_deleted, next_index, next_after }
`].join('\n'),
  bind: [clock, now, milliseconds, MARK, bound_after, ends_before, PRUNED, index_add, prefix, name_of, of_key, other_index, `local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
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
  local record = '1 ' .. iat .. ' ' .. at .. ' ' .. exp .. ' ' .. sub .. ' ' .. sid .. ' ' .. id
  redis.call('SET', key, record, 'PXAT', milliseconds(exp))
  index_add(of_key('i', sub), name, exp)
  index_add(other_index(sub, sid), name, exp)
  return { at, '', clock_text, by_sub or '', by_sid or '', iat }
end
`, SPARE_SECONDS, LOG_SECONDS, keep_log, append_log, RECORD, fields_of, ENDING, load, later, save, is_later, LOGIN, keep_end, keep_until, add_tokens, put_tokens, unite_tokens, of_session, index, unindex, put, `local session = put(name, { id = id, sub = sub, sid = sid, iat = iat, at = at, exp = exp }, ARGV, 8, true)
return { at, session.flag, clock_text, by_sub or '', by_sid or '', session.iat }
`].join('\n'),
  complete: [dates_of, close_jti, prefix, clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, of_session, name_of, of_key, other_index, unindex, unbind, `for i = 5, #ARGV do unbind(ARGV[i]) end
if ARGV[2] ~= '' then close_jti(prefix .. 'j' .. ARGV[2], ARGV[4] == '1', ARGV[3]) end
return {}
`].join('\n'),
  endSessions: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, keep_log, append_log, RECORD, fields_of, ENDING, load, later, milliseconds, save, set_end, is_signon, end_locally, MOVED, pointers_of, tokens_of, prefix, of_session, `local STEPS_AT_MOST = 200
local exp, walk, seen, fields, ids, tokens, left = ARGV[2], {}, {}, {}, {}, {}, {}
local first, spared, living = 4 + ARGV[3], {}, {}
for i = 4, first - 1 do
  spared[ARGV[i]] = true
  local key, tokens_key = of_session(ARGV[i])
  for _, token in ipairs(tokens_of(tokens_key, load(key))) do living[token] = true end
end
for i = first, #ARGV, 5 do
  local step = { name = ARGV[i] }
  if ARGV[i + 1] ~= '' then
    step.id = ARGV[i + 1]
  else
    step.at, step.sub, step.sid = ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  end
  walk[#walk + 1] = step
end
local i = 1
while walk[i] and i <= STEPS_AT_MOST do
  local step = walk[i]
  local key, tokens_key = of_session(step.name)
  local session = load(key)
  local id, their = step.id or session.id, tokens_of(tokens_key, session)
  if end_locally(session, exp, step.at, step.sub, step.sid) then
    save(key, session)
    ids[#ids + 1] = id
    fields[#fields + 1], fields[#fields + 2] = 'e', id
    for _, token in ipairs(their) do
      if not living[token] then tokens[#tokens + 1] = token end
    end
  end
  for _, pointer in ipairs(pointers_of(session, step.at, step.sub, step.sid)) do
    local followed = table.concat(pointer, ' ')
    if not seen[followed] and not spared[pointer[1]] then
      seen[followed] = true
      walk[#walk + 1] = { name = pointer[1], at = pointer[2], sub = pointer[3], sid = pointer[4] }
    end
  end
  i = i + 1
end
append_log(prefix .. 'log', fields)
for j = i, #walk do
  local step = walk[j]
  left[#left + 1] = { step.name, step.id or '', step.at or '', step.sub or '', step.sid or '' }
end
return { ids, tokens, left }
`].join('\n'),
  isBound: [PAGE, PAGE_TEXT, page_of, clock, now, RECORD, fields_of, ENDING, load, prefix, name_of, of_key, ends_before, PRUNED, index_add, other_index, index, `local MOST_PAGES = 50

local key = ARGV[2]
local index, after = of_key('i', key), ''
for _ = 1, MOST_PAGES do
  local names
  names, after = page_of(index, after, PAGE)
  for _, name in ipairs(names) do
    local session = load(prefix .. 's' .. name)
    if session.bound and (session.sid == key or session.sub == key) then return { 1 } end
  end
  if not after then return { 0 } end
end
return { 1 }
`].join('\n'),
  list: [PAGE, PAGE_TEXT, page_of, clock, now, RECORD, fields_of, ENDING, load, prefix, of_session, name_of, of_key, `local scope, key, after = unpack(ARGV, 2, 4)
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
  readLog: [clock, now, LOG_SECONDS, time_of, SPARE_SECONDS, ends_before, keep_log, append_log, QUIET_SECONDS, newest_of, read_log, prefix, `return read_log(prefix .. 'log', ARGV[2], ARGV[3], ARGV[4])
`].join('\n'),
  read: [clock, now, RECORD, fields_of, prefix, name_of, of_key, marks_against, state_of, `return state_of(ARGV[2])
`].join('\n'),
  rebind: [later, SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, keep_log, append_log, RECORD, fields_of, ENDING, load, milliseconds, save, set_end, keep_until, moved_to, leave_behind, tokens_of, prefix, of_session, name_of, of_key, other_index, unindex, is_later, LOGIN, keep_end, add_tokens, put_tokens, unite_tokens, PRUNED, index_add, index, put, marks_against, state_of, `local from_name, from_id, to_name, to_id, exp = unpack(ARGV, 2, 6)
local from_key, tokens_key = of_session(from_name)
local from = load(from_key)
local inherits = from.flag == 'x' or from.flag == 'i'
local till = from.till
if from.sub then
  local moved = { id = to_id, sub = from.sub, sid = from.sid, iat = from.iat, at = from.at, exp = later(from.exp, exp) }
  local _, is_there = put(to_name, moved, tokens_of(tokens_key, from), 1)
  if is_there then inherits = false end
  if from.bound then unindex(from_name, from) end
  leave_behind(from, tokens_key, to_name, moved.exp)
  save(from_key, from)
  local fields = { 's', from_id }
  if not is_there then fields[3], fields[4] = 'v', from_id .. ' ' .. to_id end
  append_log(prefix .. 'log', fields)
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
  renew: [milliseconds, clock, now, ends_before, keep_until, RECORD, fields_of, ENDING, load, later, save, prefix, of_session, PRUNED, index_add, name_of, of_key, other_index, index, `local name, exp = ARGV[2], ARGV[3]
local key, tokens_key = of_session(name)
local session = load(key)
if not session.bound or tonumber(session.exp) >= tonumber(exp) then return {} end
session.exp = exp
save(key, session)
index(name, session)
if session.tokens then keep_until(tokens_key, milliseconds(exp)) end
return {}
`].join('\n'),
  scanMarks: [clock, now, PAGE, PAGE_TEXT, page_of, prefix, `now()
local names, position = page_of(prefix .. 'marks', ARGV[2], tonumber(ARGV[3]))
local reply = { position or '', clock_text }
for _, name in ipairs(names) do reply[#reply + 1] = redis.call('GET', prefix .. 'm' .. name) or '' end
return reply
`].join('\n'),
  unbind: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, keep_log, append_log, prefix, RECORD, fields_of, ENDING, load, later, milliseconds, save, of_session, name_of, of_key, other_index, unindex, unbind, `local fields = {}
for i = 2, #ARGV, 2 do
  unbind(ARGV[i])
  fields[i - 1], fields[i] = 's', ARGV[i + 1]
end
append_log(prefix .. 'log', fields)
return {}
`].join('\n'),
}

export const CLUSTER_SCRIPTS = {
  addTokens: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, ends_before, keep_until, add_tokens, `local session = load(KEYS[1])
if session.bound then
  local had_tokens = session.tokens
  add_tokens(KEYS[2], session, ARGV, 1)
  if session.tokens ~= had_tokens then save(KEYS[1], session) end
end
return {}
`].join('\n'),
  append: [SPARE_SECONDS, clock, now, ends_before, LOG_SECONDS, keep_log, append_log, `append_log(KEYS[1], ARGV)
return {}
`].join('\n'),
  clock: [clock, now, `now()
return { clock_text }
`].join('\n'),
  close: [dates_of, close_jti, `close_jti(KEYS[1], ARGV[1] == '1', ARGV[2])
return {}
`].join('\n'),
  finishCovered: [later, SKEW_SECONDS, UNDER_WAY_SECONDS, covers, clock, now, RECORD, fields_of, ENDING, load, milliseconds, save, set_end, tokens_of, `local scope, key, sub, iat, seen, exp = unpack(ARGV, 1, 6)
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
  finish: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, set_end, is_signon, end_locally, MOVED, pointers_of, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local tokens, id = tokens_of(KEYS[2], session), session.id or ''
local till, at, sub, sid = unpack(ARGV, 1, 4)
local ended = end_locally(session, till, at, sub, sid)
if ended then save(KEYS[1], session) end
return { ended and 1 or 0, id, tokens, pointers_of(session, at, sub, sid) }
`].join('\n'),
  index: [clock, now, ends_before, PRUNED, index_add, `index_add(KEYS[1], ARGV[1], ARGV[2])
now()
return { clock_text }
`].join('\n'),
  inherit: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, set_end, is_later, `local session = load(KEYS[1])
local at = ARGV[2]
if session.flag == '' and not (at ~= '' and is_later(session, at)) then
  set_end(session, 'i', ARGV[1])
  save(KEYS[1], session)
end
return {}
`].join('\n'),
  leave: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, is_signon, ends_before, keep_until, set_end, moved_to, leave_behind, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local at, sub, sid, exp, to_name = unpack(ARGV, 1, 5)
if not session.sub then return { session.flag, session.till, {} } end
if not is_signon(session, at, sub, sid) or tonumber(session.exp) > tonumber(exp) then return { 'changed' } end
local tokens = tokens_of(KEYS[2], session)
leave_behind(session, KEYS[2], to_name, exp)
save(KEYS[1], session)
return { session.flag, session.till, tokens }
`].join('\n'),
  lookWithTokens: [clock, now, RECORD, fields_of, ENDING, load, tokens_of, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
local reply = { session.flag, session.bound and 1 or 0 }
if session.sub then
  reply[3], reply[4] = { session.iat, session.at, session.exp, session.sub, session.sid }, tokens_of(KEYS[2], session)
end
return reply
`].join('\n'),
  look: [clock, now, RECORD, fields_of, ENDING, load, `local session = load(KEYS[1])
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
  page: [PAGE, PAGE_TEXT, page_of, `local names, after = page_of(KEYS[1], ARGV[1], PAGE)
return { after or '', names }
`].join('\n'),
  put: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, is_later, LOGIN, keep_end, ends_before, keep_until, add_tokens, put_tokens, unite_tokens, `local older, session = load(KEYS[1]), { bound = true }
if older.tokens and not KEYS[2] then return { 'with tokens' } end
local is_login = ARGV[1] == '1'
session.flag, session.till, session.to = older.flag, older.till, older.to
if is_login and session.flag == 'i' then session.flag, session.till = '', '0' end
session.id, session.sub, session.sid, session.iat, session.at, session.exp = unpack(ARGV, 2, 7)
if not is_login and is_later(older, session.at) then
  if unite_tokens(KEYS[2], older, session, ARGV, 8) then save(KEYS[1], older) end
  return { older.flag, 0, older.iat, 1 }
end
if is_login then keep_end(session, older) end
put_tokens(KEYS[2], session, older, ARGV, 8)
save(KEYS[1], session)
return { session.flag, older.bound and 1 or 0, session.iat }
`].join('\n'),
  readLog: [clock, now, LOG_SECONDS, time_of, SPARE_SECONDS, ends_before, keep_log, append_log, QUIET_SECONDS, newest_of, read_log, `return read_log(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
`].join('\n'),
  register: [SPARE_SECONDS, clock, now, later, ends_before, register_marks, `register_marks(KEYS[1], ARGV)
return {}
`].join('\n'),
  renew: [milliseconds, clock, now, ends_before, keep_until, RECORD, fields_of, ENDING, load, later, save, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound or tonumber(session.exp) >= tonumber(ARGV[1]) then return {} end
session.exp = ARGV[1]
save(KEYS[1], session)
if session.tokens then keep_until(KEYS[2], milliseconds(session.exp)) end
return {}
`].join('\n'),
  scanRegistry: [PAGE, PAGE_TEXT, page_of, `local names, position = page_of(KEYS[1], ARGV[1], tonumber(ARGV[2]))
return { position or '', unpack(names) }
`].join('\n'),
  unbind: [clock, now, RECORD, fields_of, ENDING, load, later, milliseconds, save, `local session = load(KEYS[1])
if session.tokens and not KEYS[2] then return { 'with tokens' } end
if not session.bound then return {} end
local reply = { session.flag, session.sub, session.sid }
if session.tokens then redis.call('DEL', KEYS[2]) end
session.sub, session.bound, session.tokens = nil, false, false
save(KEYS[1], session)
return reply
`].join('\n'),
  unindex: [`for first = 1, #ARGV, 1000 do
  redis.call('ZREM', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
return {}
`].join('\n'),
}
