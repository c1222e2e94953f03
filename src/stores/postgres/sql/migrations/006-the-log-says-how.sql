-- The log says which sessions were ended, and where a sign-on moved on to: what hears of ends elsewhere needs both.
ALTER TABLE bcl_log ADD COLUMN IF NOT EXISTS ended boolean, ADD COLUMN IF NOT EXISTS moved_to text;
