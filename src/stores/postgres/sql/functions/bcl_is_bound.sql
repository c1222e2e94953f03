CREATE OR REPLACE FUNCTION bcl_is_bound(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  target_key text := a->>'key';
  time double precision := bcl_now();
BEGIN
  RETURN jsonb_build_object('bound',
    EXISTS (SELECT 1 FROM bcl_session WHERE bound AND sid_key = target_key AND expires_at > time)
    OR EXISTS (SELECT 1 FROM bcl_session WHERE bound AND sub_key = target_key AND expires_at > time));
END $$;
