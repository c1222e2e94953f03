-- When a sign-on ends by itself, and what is listed with it.
ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS ends_at double precision;
ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS idle_seconds double precision;
ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS about text;
-- It returned nothing before.
DROP FUNCTION IF EXISTS bcl_put(bcl_session, boolean);
