-- ARGV: scope, key, sub, iat, the marks' expiry, the same in milliseconds, microseconds ago, jti, its expiry in
-- milliseconds, whether it may destroy (2: the rows are destroyed here), the prefix of the rows, and where there was a
-- page before where it ended (index, position, when the mark was seen).
-- Every logout runs this: each table and function made here is paid for again when Lua collects its garbage.

local call = redis.call
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
  -- A clock that was set back must not date a logout before the logins that it ends; a late retry is meant to.
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
      if state == '3' then
        for _, token in ipairs(call('SMEMBERS', prefix .. 't' .. each)) do
          local of_token = name_of(token)
          local line, kept_till = write_mark(prefix .. 'm' .. of_token, ended_till, 'token', token, '', iat, seen, ended)
          of_tokens[#of_tokens + 1], of_tokens[#of_tokens + 2] = milliseconds(kept_till), of_token
          fields[#fields + 1], fields[#fields + 2] = 'm', line
          tokens[#tokens + 1] = token
        end
      end
      -- An id is escaped as every field; the key of its row is not (fields.ts).
      local row = id
      if destroys and string.find(id, '%', 1, true) then
        row = string.gsub(id, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
      end
      local gone = destroys and redis.pcall('UNLINK', rows .. row)
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
