CREATE OR REPLACE FUNCTION bcl_rebind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  from_id text := a->>'old';
  to_id text := a->>'new';
  asked_until double precision := (a->>'exp')::double precision;
  time double precision;
  peek bcl_session;
  s bcl_session;
  has_signon boolean;
  inherits boolean;
  moved bcl_session;
  is_there boolean := false;
BEGIN
  SELECT * INTO peek FROM bcl_session WHERE session_id = from_id;
  PERFORM bcl_lock_signon(peek.sub_key, peek.sid_key);
  PERFORM 1 FROM bcl_session WHERE session_id IN (from_id, to_id) ORDER BY session_id FOR UPDATE;
  SELECT * INTO s FROM bcl_session WHERE session_id = from_id;
  IF (s.sub_key, s.sid_key) IS DISTINCT FROM (peek.sub_key, peek.sid_key) THEN
    RAISE EXCEPTION 'The session was bound anew meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  time := bcl_now();
  IF s.ended_until <= time THEN
    s.ended := NULL;
    s.moved_to := '{}';
    s.bound := coalesce(s.bound, false);
  END IF;
  has_signon := coalesce(s.bound AND s.expires_at > time OR NOT s.bound AND s.ended = 'moved', false);
  inherits := coalesce(s.ended IN ('ended', 'inherited'), false);
  IF has_signon THEN
    moved := s;
    moved.session_id := to_id;
    moved.expires_at := greatest(s.expires_at, asked_until);
    PERFORM bcl_put(moved, false);
    SELECT bound_at > s.bound_at INTO is_there FROM bcl_session WHERE session_id = to_id;
    UPDATE bcl_session SET
      bound = false,
      ended = CASE WHEN inherits THEN s.ended ELSE 'moved' END,
      ended_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END,
      token_keys = CASE WHEN inherits THEN '{}' ELSE token_keys END,
      moved_to = CASE WHEN inherits THEN '{}' WHEN bcl_pointer(moved) = ANY (s.moved_to) THEN s.moved_to
        ELSE s.moved_to || bcl_pointer(moved) END,
      kept_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END
    WHERE session_id = from_id;
  END IF;
  IF inherits AND NOT is_there THEN
    INSERT INTO bcl_session AS old (session_id, bound, ended, ended_until, kept_until)
    VALUES (to_id, false, 'inherited', greatest(s.ended_until, asked_until), greatest(s.ended_until, asked_until))
    ON CONFLICT (session_id) DO UPDATE SET
      ended = 'inherited', ended_until = excluded.ended_until, kept_until = greatest(old.kept_until, excluded.ended_until)
    WHERE old.ended IS NULL OR old.ended_until <= time;
  END IF;
  IF has_signon OR inherits THEN
    INSERT INTO bcl_log (at, session_id, moved_to) VALUES (time, from_id, CASE WHEN has_signon AND NOT is_there THEN to_id END);
    PERFORM bcl_log_sessions(ARRAY[to_id]);
    PERFORM bcl_prune_at_times();
  END IF;
  RETURN bcl_read(jsonb_build_object('id', to_id));
END $$;
