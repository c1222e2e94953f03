-- ARGV: expiry, names and session ids in turn.
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
