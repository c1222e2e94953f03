CREATE OR REPLACE FUNCTION bcl_begin(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  page CONSTANT integer := 1000;
  jti text := a->>'jti';
  marks_until double precision := (a->>'marksExp')::double precision;
  target_scope text := a->>'scope';
  target_key text := a->>'key';
  target_sub text := a->>'sub';
  has_sidless boolean := target_scope = 'sid' AND target_sub <> '';
  ago double precision := (a->>'ago')::double precision;
  part integer := coalesce((a->>'part')::integer, 0);
  after text := coalesce(a->>'after', '');
  is_first boolean := NOT a ? 'part';
  -- Of this page every row, and of the whole logout all there is to do.
  destroyed boolean := (a->>'mayDestroy')::boolean;
  finished boolean := destroyed AND is_first;
  time double precision;
  issued double precision := (a->>'iat')::double precision;
  seen double precision := (a->>'seen')::double precision;
  opened bcl_jti;
  mark bcl_mark;
  sidless bcl_mark;
  found_sessions bcl_session[] := '{}';
  further bcl_session[];
  next jsonb;
  covered_ids text[];
  token record;
  token_mark bcl_mark;
  tokens text[] := '{}';
  mismatched bigint;
  without_sid bigint;
  gone bigint;
  not_deleted bigint := 0;
BEGIN
  PERFORM bcl_need_read_committed();
  IF jti IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(bcl_lock_id('jti ' || jti));
    SELECT * INTO opened FROM bcl_jti WHERE key = jti AND expires_at > bcl_now();
    IF opened.completed THEN
      RETURN '{"replayed": true}';
    END IF;
    IF opened.seen_at IS NOT NULL THEN
      issued := opened.issued_at;
      seen := opened.seen_at;
    END IF;
  END IF;

  IF has_sidless THEN
    PERFORM pg_advisory_xact_lock(id) FROM
      (SELECT id FROM unnest(ARRAY[bcl_lock_id(target_key), bcl_sidless_lock_id(target_sub)]) id ORDER BY id) locks;
  ELSE
    PERFORM pg_advisory_xact_lock(bcl_lock_id(target_key));
  END IF;
  IF part = 0 THEN
    found_sessions := bcl_page(target_scope, target_key, target_sub, 0, after, page);
    after := '';
  END IF;
  IF cardinality(found_sessions) > page THEN
    found_sessions := found_sessions[1:page];
    next := jsonb_build_array(0, found_sessions[page].session_id);
  ELSIF has_sidless THEN
    further := bcl_page(target_scope, target_key, target_sub, 1, after, page);
    IF cardinality(further) > page THEN
      further := further[1:page];
      next := jsonb_build_array(1, further[page].session_id);
    END IF;
    found_sessions := found_sessions || further;
  END IF;
  -- Looked at only now: whoever renewed a session while its row was waited for keeps it alive.
  time := bcl_now();
  -- A clock that was set back must not date a logout before the logins that it ends.
  -- A late retry is meant to be dated before the logins that were made since.
  seen := coalesce(seen, CASE WHEN ago > 0 THEN time - ago
    ELSE greatest(time, (SELECT max(s.bound_at) FROM unnest(found_sessions) s WHERE s.expires_at > time)) END);
  mark := ROW(target_key, target_sub, target_scope, issued, seen, marks_until)::bcl_mark;
  PERFORM bcl_add_mark(mark);
  IF has_sidless THEN
    sidless := ROW(target_sub, '', 'sidless', issued, seen, marks_until)::bcl_mark;
    PERFORM bcl_add_mark(sidless);
    INSERT INTO bcl_log (at, mark) VALUES (time, bcl_mark_json(sidless));
  END IF;
  -- A sign-on without a sid is judged by the mark of those.
  SELECT count(*) FILTER (WHERE target_sub NOT IN ('', s.sub_key)),
    coalesce(array_agg(s.session_id) FILTER (WHERE s.is_covered), '{}'),
    count(*) FILTER (WHERE s.is_covered AND target_scope = 'sid' AND s.sid_key IS NULL)
    INTO mismatched, covered_ids, without_sid
    FROM (
      SELECT f.session_id, f.sub_key, f.sid_key,
        bcl_covers(CASE WHEN has_sidless AND f.sid_key IS NULL THEN sidless ELSE mark END, f) AS is_covered
      FROM unnest(found_sessions) f WHERE f.expires_at > time
    ) s;

  finished := finished AND next IS NULL;
  IF covered_ids <> '{}' THEN
    IF destroyed AND a ? 'sessionTable' THEN
      gone := bcl_destroy(a->>'sessionTable', covered_ids);
      not_deleted := coalesce(cardinality(covered_ids) - gone, 0);
    END IF;
    destroyed := coalesce(destroyed AND gone >= cardinality(covered_ids), false);
    finished := finished AND destroyed;
    FOR token IN
      SELECT t AS key, max(greatest(marks_until, s.expires_at)) AS till
      FROM unnest(found_sessions) s, unnest(s.token_keys) t
      WHERE s.session_id = ANY (covered_ids) GROUP BY t ORDER BY t
    LOOP
      token_mark := ROW(token.key, '', 'token', issued, seen, token.till)::bcl_mark;
      PERFORM bcl_add_mark(token_mark);
      INSERT INTO bcl_log (at, mark) VALUES (time, bcl_mark_json(token_mark));
      tokens := tokens || token.key;
    END LOOP;
    UPDATE bcl_session SET
      bound = NOT destroyed,
      token_keys = CASE WHEN destroyed THEN '{}' ELSE token_keys END,
      ended = 'ended',
      ended_until = greatest(ended_until, marks_until, expires_at),
      kept_until = greatest(ended_until, marks_until, expires_at)
    WHERE session_id = ANY (covered_ids);
  END IF;
  INSERT INTO bcl_log (at, mark, session_id, ended) VALUES (time, bcl_mark_json(mark), covered_ids[1], true);
  IF cardinality(covered_ids) > 1 THEN
    PERFORM bcl_log_ended(covered_ids[2:]);
  END IF;
  IF jti IS NOT NULL THEN
    PERFORM bcl_remember_jti(ROW(jti, issued, seen, finished, (a->>'jtiExp')::double precision)::bcl_jti);
  END IF;
  PERFORM bcl_ring();
  PERFORM bcl_prune_at_times();
  RETURN jsonb_build_object('replayed', false, 'mark', bcl_mark_json(mark), 'ids', to_jsonb(covered_ids), 'tokens', to_jsonb(tokens),
    'mismatched', mismatched, 'withoutSid', without_sid, 'finished', finished, 'destroyed', destroyed, 'notDeleted', not_deleted)
    || CASE WHEN next IS NULL THEN '{}' ELSE jsonb_build_object('next', next) END;
END $$;
