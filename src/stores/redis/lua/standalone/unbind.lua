-- ARGV: names and session ids in turn.
local fields = {}
for i = 2, #ARGV, 2 do
  unbind(ARGV[i])
  fields[i - 1], fields[i] = 's', ARGV[i + 1]
end
append_log(prefix .. 'log', fields)
return {}
