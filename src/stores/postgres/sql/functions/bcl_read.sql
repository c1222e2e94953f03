CREATE OR REPLACE FUNCTION bcl_read(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  time double precision := bcl_now();
  s bcl_session;
  is_ended boolean;
BEGIN
  SELECT * INTO s FROM bcl_session WHERE session_id = a->>'id';
  is_ended := s.ended IS NOT NULL AND s.ended_until > time;
  IF s.bound AND s.expires_at > time THEN
    RETURN jsonb_build_object('ended', is_ended, 'signon', bcl_signon_json(s), 'marks', bcl_marks_json(ARRAY[s.sid_key, s.sub_key]));
  END IF;
  RETURN jsonb_build_object('ended', is_ended, 'marks', '[]'::jsonb);
END $$;
