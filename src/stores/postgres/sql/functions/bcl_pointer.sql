-- A sign-on and the session id under which it is: it keeps its dates when the id changes, and no other has the same.
CREATE OR REPLACE FUNCTION bcl_pointer(s bcl_session) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(s.session_id, s.sub_key, s.sid_key, s.issued_at, s.bound_at)
$$;
