CREATE OR REPLACE FUNCTION bcl_lock_id(key text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended('bcl:' || key, 0)
$$;
