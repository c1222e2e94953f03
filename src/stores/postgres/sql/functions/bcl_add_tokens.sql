CREATE OR REPLACE FUNCTION bcl_add_tokens(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  UPDATE bcl_session
  SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || ARRAY(SELECT jsonb_array_elements_text(a->'tokens'))))
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now();
  RETURN bcl_read(a);
END $$;
