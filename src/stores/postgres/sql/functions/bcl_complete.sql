CREATE OR REPLACE FUNCTION bcl_complete(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  IF a ? 'jti' AND (a->>'done')::boolean THEN
    PERFORM bcl_remember_jti(ROW(a->>'jti', NULL, NULL, true, (a->>'jtiExp')::double precision)::bcl_jti);
  ELSIF a ? 'jti' THEN
    -- A logout that is still at work there may be about to complete it.
    PERFORM pg_advisory_xact_lock(bcl_lock_id('jti ' || (a->>'jti')));
    UPDATE bcl_jti SET completed = false WHERE key = a->>'jti' AND completed;
  END IF;
  RETURN '{}';
END $$;
