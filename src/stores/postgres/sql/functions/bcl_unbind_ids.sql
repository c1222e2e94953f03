CREATE OR REPLACE FUNCTION bcl_unbind_ids(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM bcl_session WHERE session_id = ANY (ids) ORDER BY session_id FOR UPDATE;
  UPDATE bcl_session SET bound = false, token_keys = '{}', kept_until = coalesce(ended_until, 0)
  WHERE session_id = ANY (ids) AND bound;
END $$;
