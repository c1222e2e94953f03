-- ARGV: scope, key, sub, iat, the marks' expiry, the same in milliseconds, microseconds ago, jti, its expiry in
-- milliseconds, whether it may destroy, where the page before ended (index, position, when the mark was seen), and the
-- prefix of the rows where they are destroyed here.
-- Every logout runs this: each table and function made here is paid for again when Lua collects its garbage.

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
