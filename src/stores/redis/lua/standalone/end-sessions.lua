-- ARGV: expiry, how many names are spared, these names, and steps of five: name, session id, and where a sign-on was
-- followed to a name, its bound at, sub and sid in place of the session id. Hands back the steps that are left: a
-- sign-on may have moved on any number of times, and everybody waits for a script. Whoever moves it on meanwhile leaves
-- an id that is ended, and then takes the end along, or one that is still to be walked.
local STEPS_AT_MOST = 200
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
-- Grows while it is walked; nothing is walked twice, so that circles end.
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
