CREATE OR REPLACE FUNCTION bcl_log_sessions(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bcl_log (at, session_id) SELECT bcl_now(), id FROM unnest(ids) id;
END $$;
