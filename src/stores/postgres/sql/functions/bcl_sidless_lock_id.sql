-- What a logout by sid and sub locks as well: sign-ons of that sub which have no sid.
CREATE OR REPLACE FUNCTION bcl_sidless_lock_id(sub_key text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT bcl_lock_id('sidless ' || sub_key)
$$;
