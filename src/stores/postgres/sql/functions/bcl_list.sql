-- The sessions under a key, a page of them in the order of their ids, and where the next begins. Applications hand that
-- on to browsers, so it is as much of the next id as tells it from the last one of this page: no id, unless the two
-- differ in their last character only.
CREATE OR REPLACE FUNCTION bcl_list(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  page CONSTANT integer := 1000;
  target_key text := a->>'key';
  start text := coalesce(a->>'after', '');
  time double precision := bcl_now();
  found bcl_session[];
  last text;
  following text;
  next text;
BEGIN
  IF a->>'scope' = 'sub' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_key AND session_id >= start ORDER BY session_id LIMIT page + 1);
  ELSIF a->>'scope' = 'sid' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sid_key = target_key AND session_id >= start ORDER BY session_id LIMIT page + 1);
  END IF;
  IF cardinality(found) > page THEN
    last := found[page].session_id;
    following := found[page + 1].session_id;
    -- By the order of this database, whichever that is.
    SELECT left(following, n) INTO next FROM generate_series(1, length(following)) n
      WHERE left(following, n) > last AND left(following, n) <= following ORDER BY n LIMIT 1;
    found := found[:page];
  END IF;
  RETURN jsonb_build_object('sessions', (SELECT coalesce(jsonb_agg(jsonb_build_array(s.session_id, s.about)), '[]')
      FROM unnest(found) s WHERE s.expires_at > time))
    || CASE WHEN next IS NULL THEN '{}' ELSE jsonb_build_object('next', next) END;
END $$;
