-- When a login was begun; several marks of one target, and such as no Logout Token is behind; sessions of a target in
-- the order of their ids, a page at a time.
ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS started_at double precision;
DROP INDEX IF EXISTS bcl_session_by_sub, bcl_session_by_sid, bcl_session_without_sid;
CREATE INDEX bcl_session_by_sub ON bcl_session (sub_key, session_id) WHERE bound AND sub_key IS NOT NULL;
CREATE INDEX bcl_session_by_sid ON bcl_session (sid_key, session_id) WHERE bound AND sid_key IS NOT NULL;
CREATE INDEX bcl_session_without_sid ON bcl_session (sub_key, session_id)
  WHERE bound AND sub_key IS NOT NULL AND sid_key IS NULL;
ALTER TABLE bcl_mark DROP CONSTRAINT IF EXISTS bcl_mark_pkey, ALTER COLUMN issued_at DROP NOT NULL;
CREATE INDEX IF NOT EXISTS bcl_mark_by_key ON bcl_mark (key);
ALTER TABLE bcl_jti ALTER COLUMN issued_at DROP NOT NULL;
DROP FUNCTION IF EXISTS bcl_covers(bcl_mark, bcl_session, double precision);
DROP FUNCTION IF EXISTS bcl_merge_mark(bcl_mark);
DROP FUNCTION IF EXISTS bcl_destroy(text, text[]);
