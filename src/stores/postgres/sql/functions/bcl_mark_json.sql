CREATE OR REPLACE FUNCTION bcl_mark_json(m bcl_mark) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(m.scope, m.key, m.sub_key, m.issued_at, m.seen_at, m.expires_at)
$$;
