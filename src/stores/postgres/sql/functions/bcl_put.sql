-- Writes a sign-on under a session id, in place of what was bound there; but one that is carried there gives way to a
-- login that was bound there later. Returns when it ends by itself.
CREATE OR REPLACE FUNCTION bcl_put(s bcl_session, lift_inherited boolean) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  was_there boolean;
  ends double precision;
  time double precision := bcl_now();
BEGIN
  INSERT INTO bcl_session AS old (session_id, bound, sub_key, sid_key, issued_at, started_at, bound_at, expires_at, token_keys, kept_until,
    ends_at, idle_seconds, about)
  VALUES (s.session_id, true, s.sub_key, s.sid_key, s.issued_at, s.started_at, s.bound_at, s.expires_at, s.token_keys, s.expires_at,
    s.ends_at, s.idle_seconds, s.about)
  ON CONFLICT (session_id) DO UPDATE SET
    bound = true, sub_key = s.sub_key, sid_key = s.sid_key, issued_at = s.issued_at, started_at = s.started_at,
    bound_at = s.bound_at, expires_at = s.expires_at, idle_seconds = s.idle_seconds, about = s.about,
    -- Of a sign-on that is bound once more the earlier end stands: only a login that was begun afterwards is another.
    ends_at = CASE WHEN lift_inherited AND old.bound AND old.expires_at > time
      AND old.sub_key = s.sub_key AND old.sid_key IS NOT DISTINCT FROM s.sid_key
      AND (s.started_at IS NULL OR s.started_at <= old.bound_at) THEN least(s.ends_at, old.ends_at) ELSE s.ends_at END,
    -- Of an older binding of the same sign-on the tokens stay: its user signed in once more.
    token_keys = CASE WHEN old.bound AND old.expires_at > time AND old.sub_key = s.sub_key AND old.sid_key IS NOT DISTINCT FROM s.sid_key
      THEN ARRAY(SELECT DISTINCT unnest(old.token_keys || s.token_keys)) ELSE s.token_keys END,
    ended = CASE WHEN old.ended_until <= time OR lift_inherited AND old.ended = 'inherited' THEN NULL ELSE old.ended END,
    moved_to = CASE WHEN old.ended_until > time THEN old.moved_to ELSE '{}' END,
    kept_until = greatest(s.expires_at, old.ended_until)
  WHERE lift_inherited OR NOT old.bound OR old.expires_at <= time OR old.bound_at <= s.bound_at
  RETURNING xmax <> 0, ends_at INTO was_there, ends;
  -- To the later login the tokens come along if it is the same user's: a logout ends both.
  IF was_there IS NULL THEN
    UPDATE bcl_session SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || s.token_keys))
    WHERE session_id = s.session_id AND sub_key = s.sub_key AND sid_key IS NOT DISTINCT FROM s.sid_key;
  ELSIF was_there THEN
    PERFORM bcl_log_sessions(ARRAY[s.session_id]);
  END IF;
  RETURN ends;
END $$;
