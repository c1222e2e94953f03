-- KEYS: session. With the sign-on that an id which was left behind still remembers.
local session = load(KEYS[1])
local reply = { session.flag, session.bound and 1 or 0 }
if session.sub then reply[3] = { session.iat, session.at, session.exp, session.sub, session.sid, session.id } end
return reply
