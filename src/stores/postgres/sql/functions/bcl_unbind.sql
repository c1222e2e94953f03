CREATE OR REPLACE FUNCTION bcl_unbind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  PERFORM bcl_log_sessions(ids);
  RETURN '{}';
END $$;
