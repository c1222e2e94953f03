-- Databases that began with the first form of version 1 have CHECKs still, which know no mark of sign-ons without a
-- sid: every logout by sid and sub would fail. They have functions still that nothing calls any more, too.
ALTER TABLE bcl_session DROP CONSTRAINT IF EXISTS bcl_session_ended_check;
ALTER TABLE bcl_mark DROP CONSTRAINT IF EXISTS bcl_mark_scope_check;
DROP FUNCTION IF EXISTS bcl_lock(text[], boolean);
DROP FUNCTION IF EXISTS bcl_complete_jti(text, double precision);
