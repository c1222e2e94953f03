-- The log from a cursor (a transaction id and the time of that read), or all live marks. Everything is seen in one
-- snapshot.
CREATE OR REPLACE FUNCTION bcl_pull(a jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'now', bcl_now(),
    'xmin', pg_snapshot_xmin(pg_current_snapshot())::text,
    'reset', lost,
    'marks', CASE WHEN lost
      THEN (SELECT coalesce(jsonb_agg(bcl_mark_json(m)), '[]') FROM bcl_mark m WHERE m.expires_at > bcl_now())
      ELSE (SELECT coalesce(jsonb_agg(l.mark), '[]') FROM bcl_log l WHERE (l.xid >= after OR l.at >= since) AND l.mark IS NOT NULL)
    END,
    'ids', CASE WHEN lost THEN '[]'
      ELSE (SELECT coalesce(jsonb_agg(DISTINCT l.session_id), '[]') FROM bcl_log l
            WHERE (l.xid >= after OR l.at >= since) AND l.session_id IS NOT NULL)
    END,
    'ended', CASE WHEN lost THEN '[]'
      ELSE (SELECT coalesce(jsonb_agg(DISTINCT l.session_id), '[]') FROM bcl_log l
            WHERE (l.xid >= after OR l.at >= since) AND l.session_id IS NOT NULL AND l.ended)
    END,
    'moves', CASE WHEN lost THEN '[]'
      ELSE (SELECT coalesce(jsonb_agg(l.session_id), '[]') || coalesce(jsonb_agg(l.moved_to), '[]') FROM bcl_log l
            WHERE (l.xid >= after OR l.at >= since) AND l.moved_to IS NOT NULL)
    END)
  FROM (SELECT
    NOT (a ? 'after') OR bcl_now() - (a->>'readAt')::double precision NOT BETWEEN -1 AND 150 AS lost,
    (a->>'after')::xid8 AS after,
    -- A crash, or a stand-by that takes over, gives transaction ids a second time: what was logged since the last read,
    -- by a clock that may lag, counts whatever its id.
    (a->>'readAt')::double precision - 5 AS since) position
$$;
