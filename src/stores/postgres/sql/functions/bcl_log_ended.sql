CREATE OR REPLACE FUNCTION bcl_log_ended(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bcl_log (at, session_id, ended) SELECT bcl_now(), id, true FROM unnest(ids) id;
END $$;
