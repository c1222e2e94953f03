-- A little for each write, done for many at once: a look for what expired costs about as much as a login. A large batch
-- costs nothing where little expired, and a small one falls behind where a session has many tokens or changes its id
-- often.
CREATE OR REPLACE FUNCTION bcl_prune_at_times() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 1.0 / 16 THEN
    PERFORM bcl_prune(2000);
  END IF;
END $$;
