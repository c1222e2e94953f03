-- Deletes at most so many expired rows of each table and returns how many there were. Any node may, at any time. The
-- time is a variable where an index is to serve, and a function, which may change between rows and so is served by
-- none, where not; rows go by ctid, an array, because a join with a batch of unknown size may be planned as a scan of
-- the whole table.
CREATE OR REPLACE FUNCTION bcl_prune(batch integer) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  time double precision := bcl_now();
  pruned bigint;
BEGIN
  WITH sessions AS (
    DELETE FROM bcl_session WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_session WHERE kept_until <= time ORDER BY kept_until LIMIT batch FOR UPDATE SKIP LOCKED))
      AND kept_until <= bcl_now() RETURNING 1
  ), marks AS (
    DELETE FROM bcl_mark WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_mark WHERE expires_at <= time ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED))
      AND expires_at <= bcl_now() RETURNING 1
  ), jtis AS (
    DELETE FROM bcl_jti WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_jti WHERE expires_at <= time ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED))
      AND expires_at <= bcl_now() RETURNING 1
  ), log AS (
    DELETE FROM bcl_log WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_log WHERE at < time - 300 ORDER BY at LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING 1
  )
  SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM marks) + (SELECT count(*) FROM jtis) + (SELECT count(*) FROM log)
  INTO pruned;
  RETURN pruned;
END $$;
