CREATE OR REPLACE FUNCTION bcl_renew(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  till double precision := (a->>'exp')::double precision;
BEGIN
  UPDATE bcl_session SET expires_at = till, kept_until = greatest(kept_until, till)
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now() AND expires_at < till;
  RETURN '{}';
END $$;
