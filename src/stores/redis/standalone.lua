-- The operations of the store, each one round trip, for a Redis whose keys all live together. ARGV: prefix, then as each
-- says; empty is absent. Runs as a whole or not at all between other commands, so no step of it is ever seen half done.
local prefix = ARGV[1]
local operations = {}

-- Of a session: its record, and its tokens.
local function of_session(name)
  return prefix .. 's' .. name, prefix .. 't' .. name
end

local function of_key(kind, key)
  return prefix .. kind .. name_of(key)
end

-- The marks under the keys of a sign-on; the reader drops those of keys that begin alike.
local function marks_against(sub, sid)
  if sid == '' then return { redis.call('GET', of_key('m', sub)), false } end
  return redis.call('MGET', of_key('m', sub), of_key('m', sid))
end

-- A record, and where it cannot be judged alone: what o'clock it is and the marks against it.
local function state_of(name)
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
end

-- The other index of a sign-on beside that of its sub: of its sid, or of those of its sub that have none.
local function other_index(sub, sid)
  if sid == '' then return of_key('u', sub) end
  return of_key('i', sid)
end

local function index(name, session)
  index_add(of_key('i', session.sub), name, session.exp)
  index_add(other_index(session.sub, session.sid), name, session.exp)
end

local function unindex(name, session)
  redis.call('ZREM', of_key('i', session.sub), name)
  redis.call('ZREM', other_index(session.sub, session.sid), name)
end

-- Writes a sign-on under a session id, in place of what was bound there. The tokens: a list from a position on.
local function put(name, signon, list, first, lift_inherited)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if session.bound then
    unindex(name, session)
    append_log(prefix .. 'log', { 's', signon.id })
  end
  if lift_inherited and session.flag == 'i' then session.flag, session.till = '', '0' end
  signon.flag, signon.till, signon.to, signon.bound = session.flag, session.till, session.to, true
  put_tokens(tokens_key, signon, session, list, first)
  save(key, signon)
  index(name, signon)
  return signon
end

local function unbind(name)
  local key, tokens_key = of_session(name)
  local session = load(key)
  if not session.bound then return end
  unindex(name, session)
  if session.tokens then redis.call('DEL', tokens_key) end
  session.sub, session.bound, session.tokens = nil, false, false
  save(key, session)
end

-- ARGV: session's name, session id, sub, sid, iat and begun at, expiry, tokens.
function operations.bind()
  local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
  local marks = marks_against(sub, sid)
  local at = bound_after(sid, marks[2] or '', bound_after(sub, marks[1], now()))
  at = at == now() and clock_text or string.format('%.0f', at)
  local session = put(name, { id = id, sub = sub, sid = sid, iat = iat, at = at, exp = exp }, ARGV, 8, true)
  -- Nothing comes between: the marks are still the same.
  return { at, session.flag, clock_text, marks[1] or '', marks[2] or '' }
end

-- ARGV: old session's name and id, the new one's, its expiry.
function operations.rebind()
  local from_name, from_id, to_name, to_id, exp = unpack(ARGV, 2, 6)
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
    append_log(prefix .. 'log', { 's', from_id })
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
end

-- ARGV: session's name, expiry.
function operations.renew()
  local name, exp = ARGV[2], ARGV[3]
  local key, tokens_key = of_session(name)
  local session = load(key)
  if not session.bound or tonumber(session.exp) >= tonumber(exp) then return {} end
  session.exp = exp
  save(key, session)
  index(name, session)
  if session.tokens then keep_until(tokens_key, milliseconds(exp)) end
  return {}
end

-- ARGV: session's name, tokens.
function operations.addTokens()
  local name = ARGV[2]
  local key, tokens_key = of_session(name)
  local session = load(key)
  if session.bound then
    add_tokens(tokens_key, session, ARGV, 3)
    save(key, session)
  end
  return state_of(name)
end

-- ARGV: session's name.
function operations.read()
  return state_of(ARGV[2])
end

-- ARGV: keys.
function operations.marks()
  now()
  local reply = { clock_text }
  for i = 2, #ARGV do reply[i] = redis.call('GET', of_key('m', ARGV[i])) or '' end
  return reply
end

-- ARGV: expiry, names and session ids in turn.
function operations.endSessions()
  local exp, walk, seen, fields, ids, tokens = ARGV[2], {}, {}, {}, {}, {}
  for i = 3, #ARGV, 2 do walk[#walk + 1] = { name = ARGV[i], id = ARGV[i + 1] } end
  -- Grows while it is walked; nothing is walked twice, so that circles end.
  local i = 1
  while walk[i] do
    local step = walk[i]
    local key, tokens_key = of_session(step.name)
    local session = load(key)
    local id, their = step.id or session.id, tokens_of(tokens_key, session)
    if end_locally(session, exp, step.at, step.sub, step.sid) then
      save(key, session)
      ids[#ids + 1] = id
      fields[#fields + 1], fields[#fields + 2] = 's', id
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
end

-- ARGV: names and session ids in turn.
function operations.unbind()
  local fields = {}
  for i = 2, #ARGV, 2 do
    unbind(ARGV[i])
    fields[i - 1], fields[i] = 's', ARGV[i + 1]
  end
  append_log(prefix .. 'log', fields)
  return {}
end

-- An id is escaped as every field; the key of its row is not (fields.ts).
local function row_of(rows, id)
  if not string.find(id, '%', 1, true) then return rows .. id end
  return rows .. string.gsub(id, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
end

-- Marks the tokens of a session that is ended, and lists them.
local function end_tokens(tokens_key, till, iat, seen, exp, fields, tokens)
  for _, token in ipairs(redis.call('SMEMBERS', tokens_key)) do
    local name = name_of(token)
    local mark, last = write_mark(prefix .. 'm' .. name, till, 'token', token, '', iat, seen, exp)
    register_mark(prefix .. 'marks', name, milliseconds(last))
    fields[#fields + 1], fields[#fields + 2] = 'm', mark
    tokens[#tokens + 1] = token
  end
end

-- ARGV: scope, key, sub, iat, the marks' expiry, the same in milliseconds, microseconds ago, jti, its expiry in
-- milliseconds, whether it may destroy, where the page before ended (index, position, when the mark was seen), and the
-- prefix of the rows where they are destroyed here.
-- Every logout runs this: each table and function made here is paid for again when Lua collects its garbage.
function operations.begin()
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
    -- A clock that was set back must not date a logout before the logins that it ends; a late retry is meant to.
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
      -- The index name is shared by keys that begin alike: only an entry of nobody is dead wood.
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
        -- Whoever may not delete rows has them destroyed one by one; what was not there is somewhere else, if it is.
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
        fields[#fields + 1] = 's'
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
end

-- ARGV: jti, its expiry in milliseconds, whether it is done, sessions' names.
function operations.complete()
  for i = 5, #ARGV do unbind(ARGV[i]) end
  if ARGV[2] ~= '' then close_jti(prefix .. 'j' .. ARGV[2], ARGV[4] == '1', ARGV[3]) end
  return {}
end

-- ARGV: position in the log, time of that read, entries at most.
function operations.readLog()
  return read_log(prefix .. 'log', ARGV[2], ARGV[3], ARGV[4])
end

-- ARGV: cursor, entries at a time.
function operations.scanMarks()
  now()
  local page = redis.call('ZSCAN', prefix .. 'marks', ARGV[2], 'COUNT', ARGV[3])
  local reply = { page[1], clock_text }
  for i = 1, #page[2], 2 do reply[#reply + 1] = redis.call('GET', prefix .. 'm' .. page[2][i]) or '' end
  return reply
end
