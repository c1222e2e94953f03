CREATE OR REPLACE FUNCTION bcl_signon_json(s bcl_session) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(s.sub_key, coalesce(s.sid_key, ''), coalesce(to_jsonb(s.issued_at), '""'), s.bound_at, s.expires_at,
    s.started_at, s.ends_at, s.idle_seconds)
$$;
