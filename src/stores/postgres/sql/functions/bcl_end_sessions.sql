CREATE OR REPLACE FUNCTION bcl_end_sessions(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  spared_ids text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(a->'spared', '[]')));
  given_ids text[] := ARRAY(SELECT DISTINCT id FROM jsonb_array_elements_text(a->'ids') id WHERE id <> ALL (spared_ids));
  till double precision := (a->>'exp')::double precision;
  pointers jsonb[];
  time double precision;
  there bcl_session[];
  ended_ids text[];
  heir_ids text[];
  all_ids text[];
  tokens text[];
BEGIN
  -- Each has a row first: what is not there cannot be locked, and could be bound and moved on meanwhile.
  INSERT INTO bcl_session (session_id, bound, ended, ended_until, kept_until)
  SELECT id, false, 'ended', till, till FROM unnest(given_ids) id ORDER BY id ON CONFLICT DO NOTHING;
  pointers := bcl_followed(given_ids, spared_ids);
  there := ARRAY(
    SELECT s FROM bcl_session s
    WHERE session_id = ANY (given_ids || ARRAY(SELECT pointer->>0 FROM unnest(pointers) pointer))
    ORDER BY session_id FOR UPDATE);
  -- No sign-on moves on from here any more, but one may have while its row was waited for; and a row that had expired
  -- may be gone.
  IF NOT (bcl_followed(given_ids, spared_ids) <@ pointers AND given_ids <@ ARRAY(SELECT s.session_id FROM unnest(there) s)) THEN
    RAISE EXCEPTION 'A sign-on moved on meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  time := bcl_now();
  -- The ids that it left behind hand it on no more; the id that holds it inherits the end, so that a fresh login lifts
  -- it. What an earlier call ended is named again: its answer may have been lost.
  SELECT
    given_ids || coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids)
      AND (s.was_moved OR s.is_alive OR s.was_ended)), '{}'),
    given_ids || coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids) AND s.was_moved), '{}'),
    coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids) AND s.is_alive), '{}')
    INTO all_ids, ended_ids, heir_ids
    FROM (
      SELECT s.session_id,
        coalesce(s.ended = 'moved' AND s.ended_until > time, false) AS was_moved,
        s.ended IS NOT NULL AND s.ended_until > time AND (s.ended = 'ended' OR s.bound AND s.expires_at > time) AS was_ended,
        s.bound AND s.expires_at > time AND NOT coalesce(s.ended IS NOT NULL AND s.ended_until > time, false) AS is_alive
      FROM unnest(there) s WHERE bcl_pointer(s) = ANY (pointers)
    ) s;
  tokens := ARRAY(
    SELECT DISTINCT token FROM unnest(there) s, unnest(s.token_keys) token
    WHERE s.session_id = ANY (all_ids) AND (NOT s.bound OR s.expires_at > time)
    EXCEPT SELECT unnest(token_keys) FROM bcl_session WHERE session_id = ANY (spared_ids));

  UPDATE bcl_session SET
    ended = 'ended',
    ended_until = greatest(ended_until, till, expires_at),
    kept_until = greatest(kept_until, till, expires_at)
  WHERE session_id = ANY (ended_ids);
  IF heir_ids <> '{}' THEN
    UPDATE bcl_session SET
      ended = 'inherited',
      ended_until = greatest(till, expires_at),
      kept_until = greatest(kept_until, till, expires_at)
    WHERE session_id = ANY (heir_ids);
  END IF;
  PERFORM bcl_log_ended(all_ids);
  PERFORM bcl_ring();
  PERFORM bcl_prune_at_times();
  RETURN jsonb_build_object('ids', to_jsonb(all_ids), 'tokens', to_jsonb(tokens));
END $$;
