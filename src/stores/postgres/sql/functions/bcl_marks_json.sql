CREATE OR REPLACE FUNCTION bcl_marks_json(keys text[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  -- Not a condition of the look-up: all that lives is a range of an index, too.
  RETURN (SELECT coalesce(jsonb_agg(bcl_mark_json(m)) FILTER (WHERE m.expires_at > time), '[]') FROM bcl_mark m WHERE m.key = ANY (keys));
END $$;
