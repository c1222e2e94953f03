-- Whether one mark ends everything that another of the same key ends.
CREATE OR REPLACE FUNCTION bcl_covers_all_of(m bcl_mark, other bcl_mark) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (m.scope = other.scope OR m.scope = 'sub' AND other.scope = 'sidless')
    AND (m.scope = 'token'
      OR m.sub_key IN ('', other.sub_key)
        AND m.seen_at >= other.seen_at
        AND CASE WHEN m.issued_at IS NULL OR other.issued_at IS NULL
          THEN m.issued_at IS NULL AND other.issued_at IS NULL
          ELSE m.issued_at >= other.issued_at END)
$$;
