-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
CREATE OR REPLACE FUNCTION bcl_covers(m bcl_mark, s bcl_session) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT m.sub_key IN ('', s.sub_key)
    AND (s.started_at IS NULL OR s.started_at <= m.seen_at)
    AND CASE WHEN m.issued_at IS NULL THEN s.bound_at <= m.seen_at
      ELSE s.issued_at IS NULL
        OR s.issued_at - m.issued_at <= 0
        OR s.bound_at <= m.seen_at AND s.issued_at - m.issued_at <= 5
        OR m.scope = 'sid' AND s.issued_at - m.issued_at <= 60
    END
$$;
