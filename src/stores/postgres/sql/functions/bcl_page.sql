-- The sessions that a target names after a position, one more than so many at most, in the order of their ids. Part 0:
-- those of its key. Part 1: of its sub, those without a sid.
CREATE OR REPLACE FUNCTION bcl_page(scope text, target_key text, target_sub text, part integer, after text, room integer)
RETURNS bcl_session[] LANGUAGE plpgsql AS $$
BEGIN
  IF part = 1 THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_sub AND sid_key IS NULL AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  ELSIF scope = 'sub' THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_key AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  ELSIF scope = 'sid' THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sid_key = target_key AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  END IF;
  RETURN '{}';
END $$;
