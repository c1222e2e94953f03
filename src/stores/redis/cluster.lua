-- The steps of the operations, for a Redis whose keys live apart: every key of a step shares one slot, and the order of
-- steps (cluster-store.ts) does what atomicity does elsewhere. ARGV: the arguments as JSON. KEYS as each step says.
local args = cjson.decode(ARGV[1])
local steps = {}

-- KEYS: any.
function steps.clock()
  return { 'now', text(now()) }
end

-- KEYS: index, marks of the same key.
function steps.index()
  index_add(KEYS[1], args.id, args.exp)
  return { 'at', text(after_logouts(now(), marks_at(KEYS[2], args.key, {}))) }
end

-- KEYS: index.
function steps.unindex()
  redis.call('ZREM', KEYS[1], args.id)
  return {}
end

-- KEYS: session, tokens.
function steps.put()
  local session = load(KEYS[1])
  local replaced = session.bound
  if args.liftInherited and session.flag == 'i' then session.flag, session.till = '', 0 end
  local s = args.signon
  session.signon = { sub = s.sub, sid = s.sid or '', iat = s.iat or '', at = s.at, exp = s.exp }
  session.bound = true
  save(KEYS[1], session)
  replace_tokens(KEYS[2], args.tokens, 1, s.exp)
  return { 'ended', tostring(session.flag ~= ''), 'replaced', tostring(replaced) }
end

-- KEYS: session, tokens. With the sign-on that an id which was left behind still remembers.
function steps.look()
  local session = load(KEYS[1])
  local reply = {
    'ended', tostring(session.flag ~= ''), 'bound', tostring(session.bound), 'flag', session.flag,
    'till', text(session.till), 'tokens', redis.call('SMEMBERS', KEYS[2]),
  }
  if session.signon then reply[11], reply[12] = 'signon', signon_reply(session.signon) end
  return reply
end

-- KEYS: session, tokens. Leaves the id behind if its sign-on is still the one that was carried on.
function steps.leave()
  local session = load(KEYS[1])
  local signon = session.signon
  local reply = { 'flag', session.flag, 'till', text(session.till), 'tokens', {} }
  if not signon then return reply end
  if signon.at ~= args.at or signon.sub ~= args.sub or signon.sid ~= args.sid or signon.exp > args.exp then
    return { 'changed', 'true' }
  end
  reply[6] = redis.call('SMEMBERS', KEYS[2])
  session.bound = false
  if session.flag == 'x' or session.flag == 'i' then
    session.signon = nil
    redis.call('DEL', KEYS[2])
  else
    set_end(session, 'm', args.exp)
    keep_until(KEYS[2], session.till)
  end
  save(KEYS[1], session)
  return reply
end

-- KEYS: session.
function steps.inherit()
  local session = load(KEYS[1])
  if session.flag == '' then
    set_end(session, 'i', args.exp)
    save(KEYS[1], session)
  end
  return {}
end

-- KEYS: session, tokens.
function steps.renew()
  local session = load(KEYS[1])
  if not session.bound or session.signon.exp >= args.exp then return {} end
  session.signon.exp = args.exp
  save(KEYS[1], session)
  keep_until(KEYS[2], args.exp)
  return { 'signon', signon_reply(session.signon) }
end

-- KEYS: session, tokens.
function steps.addTokens()
  local session = load(KEYS[1])
  if session.bound then add_tokens(KEYS[2], args.tokens, 1, session.signon.exp) end
  return {}
end

-- KEYS: session, tokens.
function steps.finish()
  local session = load(KEYS[1])
  set_end(session, 'x', args.exp)
  save(KEYS[1], session)
  return { 'tokens', redis.call('SMEMBERS', KEYS[2]) }
end

-- KEYS: session, tokens. Ends the session if it is the target's and the mark covers it.
function steps.finishCovered()
  local session = load(KEYS[1])
  local signon = session.signon
  if not session.bound or key_of(signon, args.scope) ~= args.key then return { 'outcome', 'none' } end
  if args.sub ~= '' and args.sub ~= signon.sub then return { 'outcome', 'mismatched' } end
  if not covers(args, signon, args.tolerance) then return { 'outcome', 'none' } end
  local till = math.max(args.marksExp, signon.exp)
  set_end(session, 'x', till)
  save(KEYS[1], session)
  return { 'outcome', 'covered', 'till', text(till), 'tokens', redis.call('SMEMBERS', KEYS[2]) }
end

-- KEYS: session, tokens.
function steps.unbind()
  local session = load(KEYS[1])
  if not session.bound then return {} end
  local reply = { 'flag', session.flag, 'signon', signon_reply(session.signon) }
  session.signon, session.bound = nil, false
  save(KEYS[1], session)
  redis.call('DEL', KEYS[2])
  return reply
end

-- KEYS: marks, index of the same key. Writes the mark, then looks.
function steps.mark()
  local mark = merge_mark(KEYS[1], args)
  return { 'mark', mark_reply(mark), 'ids', args.scope == 'token' and {} or index_members(KEYS[2]) }
end

-- KEYS: marks.
function steps.marks()
  return { 'now', text(now()), 'marks', marks_reply(marks_at(KEYS[1], args.key, {})) }
end

-- KEYS: jti.
function steps.open()
  local opened = redis.call('GET', KEYS[1])
  if opened == 'completed' then return { 'replayed', 'true' } end
  local iat, seen = args.iat, args.seen
  if opened then
    local dates = cmsgpack.unpack(opened)
    iat, seen = dates[1], dates[2]
  end
  redis.call('SET', KEYS[1], cmsgpack.pack({ iat, seen }), 'PXAT', milliseconds(args.exp))
  return { 'iat', text(iat), 'seen', text(seen) }
end

-- KEYS: jti.
function steps.close()
  redis.call('SET', KEYS[1], 'completed', 'PXAT', milliseconds(args.exp))
  return {}
end

-- KEYS: registry.
function steps.register()
  register_mark(KEYS[1], args.id, args.exp)
  return {}
end

-- KEYS: registry.
function steps.scanRegistry()
  local page = redis.call('ZSCAN', KEYS[1], args.cursor, 'COUNT', args.count)
  local ids = {}
  for i = 1, #page[2], 2 do ids[#ids + 1] = page[2][i] end
  return { 'cursor', page[1], 'ids', ids }
end

-- KEYS: log.
function steps.append()
  append_log(KEYS[1], args.entries)
  return {}
end

-- KEYS: log.
function steps.readLog()
  return read_log(KEYS[1], args.after, args.readAt, args.count)
end
