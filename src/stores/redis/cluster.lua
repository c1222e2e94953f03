-- The steps of the operations, for a Redis whose keys live apart: every key of a step shares one slot, and the order of
-- steps (cluster-store.ts) does what atomicity does elsewhere. KEYS and ARGV: as each step says; empty is absent.
local steps = {}

-- KEYS: any.
function steps.clock()
  now()
  return { clock_text }
end

-- KEYS: index. ARGV: session's name, expiry.
function steps.index()
  index_add(KEYS[1], ARGV[1], ARGV[2])
  now()
  return { clock_text }
end

-- KEYS: index. ARGV: session's name.
function steps.unindex()
  redis.call('ZREM', KEYS[1], ARGV[1])
  return {}
end

-- KEYS: session, tokens. ARGV: whether to lift an inherited end, session id, sub, sid, iat and begun at, bound at, expiry,
-- tokens.
function steps.put()
  local older, session = load(KEYS[1]), { bound = true }
  if older.tokens and not KEYS[2] then return { 'with tokens' } end
  session.flag, session.till, session.to = older.flag, older.till, older.to
  if ARGV[1] == '1' and session.flag == 'i' then session.flag, session.till = '', '0' end
  session.id, session.sub, session.sid, session.iat, session.at, session.exp = unpack(ARGV, 2, 7)
  put_tokens(KEYS[2], session, older, ARGV, 8)
  save(KEYS[1], session)
  return { session.flag, older.bound and 1 or 0 }
end

-- KEYS: session. With the sign-on that an id which was left behind still remembers.
function steps.look()
  local session = load(KEYS[1])
  local reply = { session.flag, session.bound and 1 or 0 }
  if session.sub then reply[3] = { session.iat, session.at, session.exp, session.sub, session.sid } end
  return reply
end

-- KEYS: session, tokens. The same with the tokens of the sign-on.
function steps.lookWithTokens()
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  local reply = { session.flag, session.bound and 1 or 0 }
  if session.sub then
    reply[3], reply[4] = { session.iat, session.at, session.exp, session.sub, session.sid }, tokens_of(KEYS[2], session)
  end
  return reply
end

-- KEYS: session, tokens. ARGV: bound at, sub and sid of the sign-on that was carried on, its expiry, the new session's name.
-- Leaves the id behind if its sign-on is still that one, and notes where it went.
function steps.leave()
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  local at, sub, sid, exp, to_name = unpack(ARGV, 1, 5)
  if not session.sub then return { session.flag, session.till, {} } end
  if not is_signon(session, at, sub, sid) or tonumber(session.exp) > tonumber(exp) then return { 'changed' } end
  local tokens = tokens_of(KEYS[2], session)
  leave_behind(session, KEYS[2], to_name, exp)
  save(KEYS[1], session)
  return { session.flag, session.till, tokens }
end

-- KEYS: session. ARGV: until when.
function steps.inherit()
  local session = load(KEYS[1])
  if session.flag == '' then
    set_end(session, 'i', ARGV[1])
    save(KEYS[1], session)
  end
  return {}
end

-- KEYS: session, tokens. ARGV: expiry.
function steps.renew()
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  if not session.bound or tonumber(session.exp) >= tonumber(ARGV[1]) then return {} end
  session.exp = ARGV[1]
  save(KEYS[1], session)
  if session.tokens then keep_until(KEYS[2], milliseconds(session.exp)) end
  return {}
end

-- KEYS: session, tokens. ARGV: tokens.
function steps.addTokens()
  local session = load(KEYS[1])
  if session.bound then
    add_tokens(KEYS[2], session, ARGV, 1)
    save(KEYS[1], session)
  end
  return {}
end

-- KEYS: session, tokens. ARGV: until when, and where a sign-on was followed: its bound at, sub and sid.
function steps.finish()
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  local tokens, id = tokens_of(KEYS[2], session), session.id or ''
  local till, at, sub, sid = unpack(ARGV, 1, 4)
  local ended = end_locally(session, till, at, sub, sid)
  if ended then save(KEYS[1], session) end
  return { ended and 1 or 0, id, tokens, pointers_of(session, at, sub, sid) }
end

-- KEYS: session, tokens. ARGV: scope, key, sub, iat and seen of the mark, the marks' expiry.
-- Ends the session if it is the target's and the mark covers it.
function steps.finishCovered()
  local scope, key, sub, iat, seen, exp = unpack(ARGV, 1, 6)
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  -- Left behind a moment ago it is still found here, with the tokens that moved on.
  if not session.sub or (scope == 'sid' and session.sid or session.sub) ~= key then return { 'none' } end
  if scope == 'sidless' and session.sid ~= '' then return { 'none' } end
  if sub ~= '' and sub ~= session.sub then return { 'mismatched' } end
  if not covers(scope, iat, seen, session.iat, session.at) then return { 'none' } end
  local till = later(exp, session.exp)
  set_end(session, 'x', till)
  save(KEYS[1], session)
  return { 'covered', session.id, till, tokens_of(KEYS[2], session), session.sid }
end

-- KEYS: session, tokens.
function steps.unbind()
  local session = load(KEYS[1])
  if session.tokens and not KEYS[2] then return { 'with tokens' } end
  if not session.bound then return {} end
  local reply = { session.flag, session.sub, session.sid }
  if session.tokens then redis.call('DEL', KEYS[2]) end
  session.sub, session.bound, session.tokens = nil, false, false
  save(KEYS[1], session)
  return reply
end

-- KEYS: marks. ARGV: expiry in milliseconds, scope, key, sub, iat, seen, expiry.
function steps.mark()
  return { (write_mark(KEYS[1], unpack(ARGV, 1, 7))) }
end

-- KEYS: index. ARGV: where the page before ended. Names of sessions, and where this page ends.
function steps.page()
  local names, after = page_of(KEYS[1], ARGV[1], PAGE)
  return { after or '', names }
end

-- KEYS: marks.
function steps.marks()
  now()
  return { clock_text, redis.call('GET', KEYS[1]) or '' }
end

-- KEYS: jti. ARGV: iat, seen, expiry in milliseconds.
function steps.open()
  local opened = redis.call('GET', KEYS[1])
  if opened and string.sub(opened, 1, 9) == 'completed' then return { 'replayed' } end
  local iat, seen = ARGV[1], ARGV[2]
  if opened then iat, seen = dates_of(opened) end
  redis.call('SET', KEYS[1], iat .. ' ' .. seen, 'PXAT', ARGV[3])
  return { iat, seen }
end

-- KEYS: jti. ARGV: whether it is done, expiry in milliseconds.
function steps.close()
  close_jti(KEYS[1], ARGV[1] == '1', ARGV[2])
  return {}
end

-- KEYS: registry. ARGV: name of a key, expiry in milliseconds.
function steps.register()
  register_mark(KEYS[1], ARGV[1], ARGV[2])
  return {}
end

-- KEYS: registry. ARGV: cursor, entries at a time.
function steps.scanRegistry()
  local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
  local reply = { page[1] }
  for i = 1, #page[2], 2 do reply[#reply + 1] = page[2][i] end
  return reply
end

-- KEYS: log. ARGV: fields and values in turn.
function steps.append()
  append_log(KEYS[1], ARGV)
  return {}
end

-- KEYS: log. ARGV: position in the log, time of that read, entries at most.
function steps.readLog()
  return read_log(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
end
