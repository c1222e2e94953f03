-- How keys are named after what they are for.

-- Of a key: hashes already, and 96 bits of them are enough to be rarely shared.
local function name_of(key)
  return string.sub(key, 1, 16)
end
