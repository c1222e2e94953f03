-- The sessions under a key, a page of them in the order of their ids, and where the next begins.
CREATE OR REPLACE FUNCTION bcl_list(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  page CONSTANT integer := 1000;
  target_key text := a->>'key';
  after text := coalesce(a->>'after', '');
  time double precision := bcl_now();
  found bcl_session[];
BEGIN
  IF a->>'scope' = 'sub' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_key AND session_id > after ORDER BY session_id LIMIT page);
  ELSIF a->>'scope' = 'sid' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sid_key = target_key AND session_id > after ORDER BY session_id LIMIT page);
  END IF;
  RETURN jsonb_build_object('sessions', (SELECT coalesce(jsonb_agg(jsonb_build_array(s.session_id, s.about)), '[]')
      FROM unnest(found) s WHERE s.expires_at > time))
    || CASE WHEN cardinality(found) < page THEN '{}'
      ELSE jsonb_build_object('next', found[page].session_id) END;
END $$;
