CREATE OR REPLACE FUNCTION bcl_marks(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  RETURN jsonb_build_object('now', bcl_now(), 'marks', bcl_marks_json(ARRAY(SELECT jsonb_array_elements_text(a->'keys'))));
END $$;
