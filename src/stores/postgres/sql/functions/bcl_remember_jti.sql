-- What was completed stays so, and what was opened keeps its first dates, until it expires.
CREATE OR REPLACE FUNCTION bcl_remember_jti(new bcl_jti) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  INSERT INTO bcl_jti AS old SELECT new.*
  ON CONFLICT (key) DO UPDATE SET
    issued_at = CASE WHEN old.expires_at > time AND old.seen_at IS NOT NULL THEN old.issued_at ELSE new.issued_at END,
    seen_at = CASE WHEN old.expires_at > time AND old.seen_at IS NOT NULL THEN old.seen_at ELSE new.seen_at END,
    completed = new.completed OR old.completed AND old.expires_at > time,
    expires_at = new.expires_at;
END $$;
