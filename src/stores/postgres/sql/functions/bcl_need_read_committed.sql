CREATE OR REPLACE FUNCTION bcl_need_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'The logout store needs transaction_isolation read committed' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END $$;
