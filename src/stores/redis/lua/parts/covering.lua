-- Which mark ends which sign-on, and which mark makes another one needless.

-- DEFAULT_SKEW_SECONDS and UNDER_WAY_SECONDS of src/marks/covering.ts.
local SKEW_SECONDS = 5

local UNDER_WAY_SECONDS = 60

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
local function covers(scope, mark_iat, seen, dates, at)
  local iat, begun = dates, ''
  if string.find(dates, '/', 1, true) then iat, begun = string.match(dates, '^([^/]*)/?([^/]*)') end
  if begun ~= '' and begun * 1000000 - seen > 0 then return false end
  local bound = at - seen <= 0
  if mark_iat == '-' then return bound end
  if iat == '' then return true end
  local after = iat - mark_iat
  return after <= 0 or (bound and after <= SKEW_SECONDS) or (scope == 'sid' and after <= UNDER_WAY_SECONDS)
end

-- Whether one mark ends everything that another of the same key ends.
local function covers_all_of(scope, sub, iat, seen, of_scope, of_sub, of_iat, of_seen)
  if scope ~= of_scope and not (scope == 'sub' and of_scope == 'sidless') then return false end
  if scope == 'token' then return true end
  if sub ~= '' and sub ~= of_sub then return false end
  if seen - of_seen < 0 then return false end
  if iat == '-' or of_iat == '-' then return iat == of_iat end
  return iat - of_iat >= 0
end
