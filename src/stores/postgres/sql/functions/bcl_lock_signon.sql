-- Held by whoever creates access, until the transaction ends.
CREATE OR REPLACE FUNCTION bcl_lock_signon(sub_key text, sid_key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  sub_id bigint := bcl_lock_id(sub_key);
  sid_id bigint := coalesce(bcl_lock_id(sid_key), bcl_sidless_lock_id(sub_key));
BEGIN
  PERFORM bcl_need_read_committed();
  PERFORM pg_advisory_xact_lock_shared(least(sub_id, sid_id));
  PERFORM pg_advisory_xact_lock_shared(greatest(sub_id, sid_id));
END $$;
