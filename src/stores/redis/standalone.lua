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

local function index(name, session)
  index_add(of_key('i', session.sub), name, session.exp)
  if session.sid ~= '' then index_add(of_key('i', session.sid), name, session.exp) end
end

local function unindex(name, session)
  redis.call('ZREM', of_key('i', session.sub), name)
  if session.sid ~= '' then redis.call('ZREM', of_key('i', session.sid), name) end
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

-- ARGV: session's name, session id, sub, sid, iat, expiry, tokens.
function operations.bind()
  local name, id, sub, sid, iat, exp = unpack(ARGV, 2, 7)
  local marks = marks_against(sub, sid)
  local at = bound_after(sub, marks[1])
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

-- ARGV: scope, key, sub, iat, the marks' expiry, the same in milliseconds, tolerance, microseconds ago, jti, its expiry in
-- milliseconds, whether it may finish, and the prefix of the rows where they are destroyed here.
-- Every logout runs this: each table and function made here is paid for again when Lua collects its garbage.
function operations.begin()
  local call = redis.call
  local scope, key, sub, iat, exp, till, tolerance, ago, jti, jti_till, may_finish, rows = unpack(ARGV, 2, 13)
  local opened = jti ~= '' and call('GET', prefix .. 'j' .. jti)
  if opened == 'completed' then return { 'replayed' } end

  local name, log = name_of(key), prefix .. 'log'
  local index_key, names, records = prefix .. 'i' .. name, {}, {}
  if scope ~= 'token' then names = call('ZRANGE', index_key, 0, -1) end
  local seen = now()
  if ago == '0' then seen = clock_text else seen = string.format('%.0f', seen - ago) end
  for i, each in ipairs(names) do
    local record = call('GET', prefix .. 's' .. each)
    records[i] = record
    -- A clock that was set back must not date a logout before the logins that it ends; a late retry is meant to.
    local at = ago == '0' and record and string.match(record, '^[13]%a? %S* (%S+)')
    if at and at - seen > 0 then seen = at end
  end
  if opened then iat, seen = string.match(opened, '(%S+) (%S+)') end

  local mark, mark_iat, mark_seen, mark_exp = write_mark(prefix .. 'm' .. name, till, scope, key, sub, iat, seen, exp)
  register_mark(prefix .. 'marks', name, mark_exp == exp and till or milliseconds(mark_exp))
  local fields, ids, tokens, mismatched = { 'm', mark }, {}, {}, 0
  local destroys = may_finish == '1' and rows ~= nil
  for i, each in ipairs(names) do
    local state, flag, s_iat, at, s_exp, s_sub, s_sid, id, kept = string.match(records[i] or '', RECORD)
    if (state ~= '1' and state ~= '3') or (flag ~= '' and s_exp * 1000000 <= now()) then
      -- The index name is shared by keys that begin alike: only an entry of nobody is dead wood.
      call('ZREM', index_key, each)
    elseif (scope == 'sid' and s_sid or s_sub) == key then
      if sub ~= '' and sub ~= s_sub then
        mismatched = mismatched + 1
      elseif covers(scope, mark_iat, mark_seen, tolerance, s_iat, at) then
        local ended, ended_till = exp, till
        if s_exp - exp > 0 then ended, ended_till = s_exp, milliseconds(s_exp) end
        if flag ~= '' and kept - ended > 0 then ended, ended_till = kept, milliseconds(kept) end
        if state == '3' then
          for _, token in ipairs(call('SMEMBERS', prefix .. 't' .. each)) do
            local token_name = name_of(token)
            fields[#fields + 1] = 'm'
            fields[#fields + 1] =
              write_mark(prefix .. 'm' .. token_name, ended_till, 'token', token, '', iat, seen, ended)
            register_mark(prefix .. 'marks', token_name, ended_till)
            tokens[#tokens + 1] = token
          end
        end
        local record = '0x ' .. ended
        if destroys then
          local row = row_of(rows, id)
          local gone = names[2] and redis.pcall('UNLINK', row) or redis.pcall('UNLINK', row, index_key)
          -- Whoever may not delete rows has them destroyed one by one.
          destroys = type(gone) == 'number'
        end
        if destroys then
          if names[2] then call('ZREM', index_key, each) end
          if state == '3' then call('DEL', prefix .. 't' .. each) end
          local other = scope == 'sid' and s_sub or s_sid
          if other ~= '' then call('ZREM', prefix .. 'i' .. name_of(other), each) end
        else
          record = state .. 'x ' .. s_iat .. ' ' .. at .. ' ' .. s_exp .. ' ' .. s_sub .. ' ' .. s_sid .. ' ' .. id .. ' ' .. ended
        end
        call('SET', prefix .. 's' .. each, record, 'PXAT', ended_till)
        ids[#ids + 1] = id
        fields[#fields + 1] = 's'
        fields[#fields + 1] = id
      end
    end
  end
  append_log(log, fields)
  local finished = destroys or (may_finish == '1' and not ids[1])
  if jti ~= '' then
    call('SET', prefix .. 'j' .. jti, finished and 'completed' or iat .. ' ' .. seen, 'PXAT', jti_till)
  end
  return { mark, finished and 1 or 0, mismatched, table.concat(ids, ' '), table.concat(tokens, ' ') }
end

-- ARGV: jti, its expiry in milliseconds, sessions' names.
function operations.complete()
  for i = 4, #ARGV do unbind(ARGV[i]) end
  if ARGV[2] ~= '' then redis.call('SET', prefix .. 'j' .. ARGV[2], 'completed', 'PXAT', ARGV[3]) end
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
