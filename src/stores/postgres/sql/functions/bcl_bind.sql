CREATE OR REPLACE FUNCTION bcl_bind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  s bcl_session;
  reply jsonb;
BEGIN
  s.session_id := a->>'id';
  s.sub_key := a->>'sub';
  s.sid_key := a->>'sid';
  s.issued_at := (a->>'iat')::double precision;
  s.started_at := (a->>'started')::double precision;
  s.expires_at := (a->>'exp')::double precision;
  s.ends_at := (a->>'ends')::double precision;
  s.idle_seconds := (a->>'idle')::double precision;
  s.about := a->>'about';
  s.token_keys := ARRAY(SELECT DISTINCT jsonb_array_elements_text(coalesce(a->'tokens', '[]')));
  PERFORM bcl_lock_signon(s.sub_key, s.sid_key);
  -- A login within one tick of the clock after a logout is still known to be the later one.
  SELECT greatest(bcl_now(), max(seen_at) + 1e-6) INTO s.bound_at
    FROM bcl_mark WHERE key = ANY (ARRAY[s.sub_key, s.sid_key]) AND expires_at > bcl_now();
  s.ends_at := bcl_put(s, true);
  reply := bcl_read(a) || jsonb_build_object('signon', bcl_signon_json(s), 'now', bcl_now());
  PERFORM bcl_prune_at_times();
  RETURN reply;
END $$;
