-- ARGV: old session's name and id, the new one's, its expiry.
local from_name, from_id, to_name, to_id, exp = unpack(ARGV, 2, 6)
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
