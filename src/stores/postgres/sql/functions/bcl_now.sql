CREATE OR REPLACE FUNCTION bcl_now() RETURNS double precision LANGUAGE sql VOLATILE AS $$
  SELECT date_part('epoch', clock_timestamp())
$$;
