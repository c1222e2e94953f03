-- The doorbell; whoever misses it reads the log a little later. PostgreSQL lets only one transaction that rings commit
-- at a time, each with a wait for the disk, so of those that end something at the same time one rings.
CREATE OR REPLACE FUNCTION bcl_ring() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF pg_try_advisory_xact_lock(bcl_lock_id('doorbell')) THEN
    NOTIFY bcl_log;
  END IF;
END $$;
