-- The rows of connect-pg-simple; how many there were, or NULL if they could not be deleted. A table that cannot be
-- written must not take the mark with it, nor must a row that somebody else holds locked: the caller then destroys by
-- itself, and says what failed.
CREATE OR REPLACE FUNCTION bcl_destroy(session_table text, ids text[]) RETURNS bigint LANGUAGE plpgsql
SET lock_timeout = '1s' AS $$
DECLARE
  gone bigint;
BEGIN
  EXECUTE format('DELETE FROM %s WHERE sid = ANY ($1)', session_table::regclass) USING ids;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
EXCEPTION WHEN OTHERS OR query_canceled THEN
  RETURN NULL;
END $$;
