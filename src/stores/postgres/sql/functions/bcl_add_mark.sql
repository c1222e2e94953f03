-- Puts a mark beside those of its key. One that ends nothing beyond what another ends is dropped, and the other kept
-- until the later end of both. Rows that another logout is about to write are left as they are: a mark too many does no
-- harm.
CREATE OR REPLACE FUNCTION bcl_add_mark(new bcl_mark) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
  wider tid;
  narrower tid[];
  till double precision;
BEGIN
  SELECT ctid INTO wider FROM bcl_mark m
    WHERE key = new.key AND bcl_covers_all_of(m, new) AND expires_at > time LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE bcl_mark SET expires_at = new.expires_at WHERE ctid = wider AND expires_at < new.expires_at;
    RETURN;
  END IF;
  SELECT array_agg(n.ctid), max(n.expires_at) INTO narrower, till FROM (
    SELECT ctid, expires_at FROM bcl_mark m WHERE key = new.key AND bcl_covers_all_of(new, m) FOR UPDATE SKIP LOCKED
  ) n;
  DELETE FROM bcl_mark WHERE ctid = ANY (narrower);
  new.expires_at := greatest(new.expires_at, till);
  INSERT INTO bcl_mark SELECT new.*;
END $$;
