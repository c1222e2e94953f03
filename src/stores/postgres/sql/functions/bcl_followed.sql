DROP FUNCTION IF EXISTS bcl_followed(text[]);
-- Pointers to where the sign-ons went that moved on from these ids, as many times as each did. A step is a look-up of
-- its own and no join, which may be planned as a scan of the whole table.
CREATE OR REPLACE FUNCTION bcl_followed(ids text[], spared_ids text[]) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  RETURN ARRAY(
    WITH RECURSIVE reached (session_id, pointer) AS (
      SELECT id, NULL::jsonb FROM unnest(ids) id
      UNION
      SELECT next->>0, next FROM reached,
        LATERAL (SELECT s.moved_to FROM bcl_session s
          WHERE s.session_id = reached.session_id AND s.ended IN ('moved', 'ended') AND s.ended_until > time OFFSET 0) here,
        unnest(here.moved_to) next
      WHERE (reached.pointer IS NULL OR next - 0 = reached.pointer - 0) AND next->>0 <> ALL (spared_ids)
    ) SELECT DISTINCT pointer FROM reached WHERE pointer IS NOT NULL);
END $$;
