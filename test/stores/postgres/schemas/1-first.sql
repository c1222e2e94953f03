-- The logout store in PostgreSQL 13 or later: tables, and one function for each method of the store. May be applied any
-- number of times, by any number of nodes at once:  psql "$DATABASE_URL" --single-transaction -f schema.sql
-- Tables and functions live in the first schema of the search_path. Times are epoch seconds.
--
-- Write, then look, under READ COMMITTED: a write is invisible to others until its transaction ends, so two functions
-- at the same time could each miss what the other wrote. Whoever creates access therefore holds a shared advisory lock on the
-- keys of its sign-on, and a logout an exclusive one on its target's, until the transaction ends; each statement inside a
-- function then has a snapshot of its own, taken after the lock.
--
-- Order of locks, so that none wait in a circle: jti, advisory locks by key, session rows by id, marks by key.
SELECT pg_advisory_xact_lock(hashtextextended('bcl:schema', 0));

CREATE TABLE IF NOT EXISTS bcl_session (
  session_id  text PRIMARY KEY,
  bound       boolean NOT NULL,
  sub_key     text,
  sid_key     text,
  issued_at   double precision,
  bound_at    double precision,
  expires_at  double precision,
  token_keys  text[] NOT NULL DEFAULT '{}',
  -- 'moved' keeps the sign-on for whoever else is regenerated from this id.
  ended       text CHECK (ended IN ('ended', 'inherited', 'moved')),
  ended_until double precision,
  kept_until  double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS bcl_session_by_sub ON bcl_session (sub_key) WHERE bound;
CREATE INDEX IF NOT EXISTS bcl_session_by_sid ON bcl_session (sid_key) WHERE bound AND sid_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS bcl_session_by_end ON bcl_session (kept_until);

CREATE TABLE IF NOT EXISTS bcl_mark (
  key        text NOT NULL,
  sub_key    text NOT NULL DEFAULT '',
  scope      text NOT NULL CHECK (scope IN ('sid', 'sub', 'token')),
  issued_at  double precision NOT NULL,
  seen_at    double precision NOT NULL,
  expires_at double precision NOT NULL,
  PRIMARY KEY (key, sub_key)
);
CREATE INDEX IF NOT EXISTS bcl_mark_by_end ON bcl_mark (expires_at);

CREATE TABLE IF NOT EXISTS bcl_jti (
  key        text PRIMARY KEY,
  issued_at  double precision NOT NULL,
  seen_at    double precision,
  completed  boolean NOT NULL DEFAULT false,
  expires_at double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS bcl_jti_by_end ON bcl_jti (expires_at);

-- Read by transaction id from the oldest one that was still open at the last read: serial numbers become visible out of order.
CREATE TABLE IF NOT EXISTS bcl_log (
  xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at         double precision NOT NULL,
  mark       jsonb,
  session_id text
);
CREATE INDEX IF NOT EXISTS bcl_log_by_xid ON bcl_log (xid);
CREATE INDEX IF NOT EXISTS bcl_log_by_time ON bcl_log (at);

CREATE OR REPLACE FUNCTION bcl_version() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1 $$;

CREATE OR REPLACE FUNCTION bcl_now() RETURNS double precision LANGUAGE sql VOLATILE AS $$
  SELECT extract(epoch FROM clock_timestamp())::double precision
$$;

CREATE OR REPLACE FUNCTION bcl_lock(keys text[], exclusively boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  id bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'The logout store needs transaction_isolation read committed' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  FOR id IN SELECT DISTINCT hashtextextended('bcl:' || key, 0) AS h FROM unnest(keys) key WHERE key IS NOT NULL ORDER BY h LOOP
    IF exclusively THEN
      PERFORM pg_advisory_xact_lock(id);
    ELSE
      PERFORM pg_advisory_xact_lock_shared(id);
    END IF;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION bcl_mark_json(m bcl_mark) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_array(m.scope, m.key, m.sub_key, m.issued_at, m.seen_at, m.expires_at)
$$;

CREATE OR REPLACE FUNCTION bcl_signon_json(s bcl_session) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_array(s.sub_key, coalesce(s.sid_key, ''), coalesce(to_jsonb(s.issued_at), '""'), s.bound_at, s.expires_at)
$$;

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
CREATE OR REPLACE FUNCTION bcl_covers(m bcl_mark, s bcl_session, tolerance double precision)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT m.sub_key IN ('', s.sub_key) AND (
    s.issued_at IS NULL
    OR s.issued_at <= m.issued_at + tolerance
      AND (m.scope = 'sid' OR s.issued_at <= m.issued_at OR s.bound_at <= m.seen_at)
  )
$$;

CREATE OR REPLACE FUNCTION bcl_marks_json(keys text[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(bcl_mark_json(m)), '[]') FROM bcl_mark m WHERE m.key = ANY (keys) AND m.expires_at > bcl_now()
$$;

CREATE OR REPLACE FUNCTION bcl_read(a jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT jsonb_build_object('ended', s.ended IS NOT NULL AND s.ended_until > bcl_now(), 'marks', '[]'::jsonb) ||
      CASE WHEN s.bound AND s.expires_at > bcl_now()
        THEN jsonb_build_object('signon', bcl_signon_json(s), 'marks', bcl_marks_json(ARRAY[s.sid_key, s.sub_key]))
        ELSE '{}' END
     FROM bcl_session s WHERE s.session_id = a->>'id'),
    '{"ended": false, "marks": []}')
$$;

CREATE OR REPLACE FUNCTION bcl_marks(a jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('now', bcl_now(), 'marks', bcl_marks_json(ARRAY(SELECT jsonb_array_elements_text(a->'keys'))))
$$;

CREATE OR REPLACE FUNCTION bcl_log_sessions(ids text[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bcl_log (at, session_id) SELECT bcl_now(), id FROM unnest(ids) id
$$;

-- Deletes at most so many expired rows of each table and returns how many there were. Any node may, at any time.
CREATE OR REPLACE FUNCTION bcl_prune(batch integer) RETURNS bigint LANGUAGE sql AS $$
  WITH sessions AS (
    DELETE FROM bcl_session WHERE session_id IN (
      SELECT session_id FROM bcl_session WHERE kept_until <= bcl_now() ORDER BY kept_until LIMIT batch FOR UPDATE SKIP LOCKED)
      AND kept_until <= bcl_now() RETURNING 1
  ), marks AS (
    DELETE FROM bcl_mark WHERE (key, sub_key) IN (
      SELECT key, sub_key FROM bcl_mark WHERE expires_at <= bcl_now() ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED)
      AND expires_at <= bcl_now() RETURNING 1
  ), jtis AS (
    DELETE FROM bcl_jti WHERE key IN (
      SELECT key FROM bcl_jti WHERE expires_at <= bcl_now() ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED)
      AND expires_at <= bcl_now() RETURNING 1
  ), log AS (
    DELETE FROM bcl_log WHERE ctid IN (
      SELECT ctid FROM bcl_log WHERE at < bcl_now() - 300 ORDER BY at LIMIT batch FOR UPDATE SKIP LOCKED) RETURNING 1
  )
  SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM marks) + (SELECT count(*) FROM jtis) + (SELECT count(*) FROM log)
$$;

-- Writes a sign-on under a session id, in place of what was bound there.
CREATE OR REPLACE FUNCTION bcl_put(s bcl_session, lift_inherited boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  was_bound boolean;
  time double precision := bcl_now();
BEGIN
  SELECT bound AND expires_at > time INTO was_bound FROM bcl_session WHERE session_id = s.session_id FOR UPDATE;
  INSERT INTO bcl_session AS old (session_id, bound, sub_key, sid_key, issued_at, bound_at, expires_at, token_keys, kept_until)
  VALUES (s.session_id, true, s.sub_key, s.sid_key, s.issued_at, s.bound_at, s.expires_at, s.token_keys, s.expires_at)
  ON CONFLICT (session_id) DO UPDATE SET
    bound = true, sub_key = s.sub_key, sid_key = s.sid_key, issued_at = s.issued_at, bound_at = s.bound_at,
    expires_at = s.expires_at, token_keys = s.token_keys,
    ended = CASE WHEN old.ended_until <= time OR lift_inherited AND old.ended = 'inherited' THEN NULL ELSE old.ended END,
    kept_until = greatest(s.expires_at, old.ended_until);
  IF was_bound THEN
    PERFORM bcl_log_sessions(ARRAY[s.session_id]);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION bcl_bind(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  s bcl_session;
  reply jsonb;
BEGIN
  s.session_id := a->>'id';
  s.sub_key := a->>'sub';
  s.sid_key := a->>'sid';
  s.issued_at := (a->>'iat')::double precision;
  s.expires_at := (a->>'exp')::double precision;
  s.token_keys := ARRAY(SELECT DISTINCT jsonb_array_elements_text(coalesce(a->'tokens', '[]')));
  PERFORM bcl_lock(ARRAY[s.sub_key, s.sid_key], false);
  -- A login within one tick of the clock after a logout is still known to be the later one.
  SELECT greatest(bcl_now(), max(seen_at) + 1e-6) INTO s.bound_at
    FROM bcl_mark WHERE key = s.sub_key AND scope = 'sub' AND expires_at > bcl_now();
  PERFORM bcl_put(s, true);
  reply := bcl_read(a) || jsonb_build_object('signon', bcl_signon_json(s));
  PERFORM bcl_prune(4);
  RETURN reply;
END $$;

CREATE OR REPLACE FUNCTION bcl_rebind(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  from_id text := a->>'from';
  to_id text := a->>'to';
  asked_until double precision := (a->>'exp')::double precision;
  time double precision;
  peek bcl_session;
  s bcl_session;
  has_signon boolean;
  inherits boolean;
  moved bcl_session;
BEGIN
  SELECT * INTO peek FROM bcl_session WHERE session_id = from_id;
  PERFORM bcl_lock(ARRAY[peek.sub_key, peek.sid_key], false);
  PERFORM 1 FROM bcl_session WHERE session_id IN (from_id, to_id) ORDER BY session_id FOR UPDATE;
  SELECT * INTO s FROM bcl_session WHERE session_id = from_id;
  IF (s.sub_key, s.sid_key) IS DISTINCT FROM (peek.sub_key, peek.sid_key) THEN
    RAISE EXCEPTION 'The session was bound anew meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  time := bcl_now();
  IF s.ended_until <= time THEN
    s.ended := NULL;
    s.bound := coalesce(s.bound, false);
  END IF;
  has_signon := coalesce(s.bound AND s.expires_at > time OR NOT s.bound AND s.ended = 'moved', false);
  inherits := coalesce(s.ended IN ('ended', 'inherited'), false);
  IF has_signon THEN
    moved := s;
    moved.session_id := to_id;
    moved.expires_at := greatest(s.expires_at, asked_until);
    PERFORM bcl_put(moved, false);
    UPDATE bcl_session SET
      bound = false,
      ended = CASE WHEN inherits THEN s.ended ELSE 'moved' END,
      ended_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END,
      token_keys = CASE WHEN inherits THEN '{}' ELSE token_keys END,
      kept_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END
    WHERE session_id = from_id;
  END IF;
  IF inherits THEN
    INSERT INTO bcl_session AS old (session_id, bound, ended, ended_until, kept_until)
    VALUES (to_id, false, 'inherited', greatest(s.ended_until, asked_until), greatest(s.ended_until, asked_until))
    ON CONFLICT (session_id) DO UPDATE SET
      ended = 'inherited', ended_until = excluded.ended_until, kept_until = greatest(old.kept_until, excluded.ended_until)
    WHERE old.ended IS NULL OR old.ended_until <= time;
  END IF;
  IF has_signon OR inherits THEN
    PERFORM bcl_log_sessions(ARRAY[from_id, to_id]);
  END IF;
  RETURN bcl_read(jsonb_build_object('id', to_id));
END $$;

CREATE OR REPLACE FUNCTION bcl_renew(a jsonb) RETURNS jsonb LANGUAGE sql AS $$
  UPDATE bcl_session SET expires_at = (a->>'exp')::double precision, kept_until = greatest(kept_until, (a->>'exp')::double precision)
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now() AND expires_at < (a->>'exp')::double precision;
  SELECT '{}'::jsonb
$$;

CREATE OR REPLACE FUNCTION bcl_add_tokens(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE bcl_session
  SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || ARRAY(SELECT jsonb_array_elements_text(a->'tokens'))))
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now();
  RETURN bcl_read(a);
END $$;

CREATE OR REPLACE FUNCTION bcl_end_sessions(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  ids text[] := ARRAY(SELECT DISTINCT id FROM jsonb_array_elements_text(a->'ids') id ORDER BY id);
  till double precision := (a->>'exp')::double precision;
BEGIN
  INSERT INTO bcl_session AS old (session_id, bound, ended, ended_until, kept_until)
  SELECT id, false, 'ended', till, till FROM unnest(ids) id ORDER BY id
  ON CONFLICT (session_id) DO UPDATE SET
    ended = 'ended', ended_until = greatest(old.ended_until, till), kept_until = greatest(old.kept_until, till);
  PERFORM bcl_log_sessions(ids);
  RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION bcl_unbind_ids(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM bcl_session WHERE session_id = ANY (ids) ORDER BY session_id FOR UPDATE;
  UPDATE bcl_session SET bound = false, token_keys = '{}', kept_until = coalesce(ended_until, 0)
  WHERE session_id = ANY (ids) AND bound;
END $$;

CREATE OR REPLACE FUNCTION bcl_unbind(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  PERFORM bcl_log_sessions(ids);
  RETURN '{}';
END $$;

-- Two marks of one target become the greater by (issued_at, seen_at), whole; the expiry is the later of both.
CREATE OR REPLACE FUNCTION bcl_merge_mark(new bcl_mark) RETURNS bcl_mark LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
  merged bcl_mark;
BEGIN
  INSERT INTO bcl_mark AS old SELECT new.*
  ON CONFLICT (key, sub_key) DO UPDATE SET
    scope = excluded.scope,
    issued_at = CASE WHEN old.expires_at <= time OR (new.issued_at, new.seen_at) > (old.issued_at, old.seen_at)
      THEN new.issued_at ELSE old.issued_at END,
    seen_at = CASE WHEN old.expires_at <= time OR (new.issued_at, new.seen_at) > (old.issued_at, old.seen_at)
      THEN new.seen_at ELSE old.seen_at END,
    expires_at = CASE WHEN old.expires_at <= time THEN new.expires_at ELSE greatest(old.expires_at, new.expires_at) END
  RETURNING * INTO merged;
  INSERT INTO bcl_log (at, mark) VALUES (time, bcl_mark_json(merged));
  RETURN merged;
END $$;

CREATE OR REPLACE FUNCTION bcl_complete_jti(jti text, till double precision) RETURNS void LANGUAGE sql AS $$
  INSERT INTO bcl_jti (key, issued_at, completed, expires_at) SELECT jti, 0, true, till WHERE jti IS NOT NULL
  ON CONFLICT (key) DO UPDATE SET completed = true, expires_at = till
$$;

CREATE OR REPLACE FUNCTION bcl_begin(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  jti text := a->>'jti';
  jti_until double precision := (a->>'jtiExp')::double precision;
  marks_until double precision := (a->>'marksExp')::double precision;
  target_scope text := a->>'scope';
  target_key text := a->>'key';
  target_sub text := a->>'sub';
  tolerance double precision := (a->>'tolerance')::double precision;
  time double precision;
  issued double precision := (a->>'iat')::double precision;
  seen double precision;
  opened bcl_jti;
  mark bcl_mark;
  found_ids text[];
  covered_ids text[];
  tokens text[] := '{}';
  token record;
  mismatched bigint;
  finished boolean := false;
BEGIN
  IF jti IS NOT NULL THEN
    time := bcl_now();
    INSERT INTO bcl_jti AS old (key, issued_at, expires_at) VALUES (jti, issued, jti_until)
    ON CONFLICT (key) DO UPDATE SET issued_at = excluded.issued_at, seen_at = NULL, completed = false, expires_at = jti_until
    WHERE old.expires_at <= time;
    SELECT * INTO opened FROM bcl_jti WHERE key = jti FOR UPDATE;
    IF opened.completed THEN
      RETURN '{"replayed": true}';
    END IF;
    issued := opened.issued_at;
  END IF;

  PERFORM bcl_lock(ARRAY[target_key], true);
  time := bcl_now();
  found_ids := ARRAY(
    SELECT session_id FROM bcl_session WHERE target_scope = 'sub' AND bound AND sub_key = target_key AND expires_at > time
    UNION ALL
    SELECT session_id FROM bcl_session WHERE target_scope = 'sid' AND bound AND sid_key = target_key AND expires_at > time);
  PERFORM 1 FROM bcl_session WHERE session_id = ANY (found_ids) ORDER BY session_id FOR UPDATE;
  found_ids := ARRAY(
    SELECT session_id FROM bcl_session WHERE session_id = ANY (found_ids) AND bound AND expires_at > time
      AND CASE target_scope WHEN 'sub' THEN sub_key ELSE sid_key END = target_key);
  -- A clock that was set back must not date a logout before the logins that it ends.
  seen := coalesce(opened.seen_at, greatest(time, (SELECT max(bound_at) FROM bcl_session WHERE session_id = ANY (found_ids))));
  IF jti IS NOT NULL THEN
    UPDATE bcl_jti SET seen_at = seen, expires_at = jti_until WHERE key = jti;
  END IF;

  mark := bcl_merge_mark(ROW(target_key, target_sub, target_scope, issued, seen, marks_until)::bcl_mark);
  SELECT count(*) INTO mismatched FROM bcl_session
    WHERE session_id = ANY (found_ids) AND target_sub <> '' AND sub_key <> target_sub;
  covered_ids := ARRAY(
    SELECT session_id FROM bcl_session s
    WHERE session_id = ANY (found_ids) AND (target_sub = '' OR sub_key = target_sub) AND bcl_covers(mark, s, tolerance));
  UPDATE bcl_session SET
    ended = 'ended',
    ended_until = greatest(ended_until, marks_until, expires_at),
    kept_until = greatest(kept_until, marks_until, expires_at)
  WHERE session_id = ANY (covered_ids);
  FOR token IN
    SELECT t AS key, max(greatest(marks_until, s.expires_at)) AS till
    FROM bcl_session s, unnest(s.token_keys) t WHERE s.session_id = ANY (covered_ids) GROUP BY t ORDER BY t
  LOOP
    PERFORM bcl_merge_mark(ROW(token.key, '', 'token', issued, seen, token.till)::bcl_mark);
    tokens := tokens || token.key;
  END LOOP;
  PERFORM bcl_log_sessions(covered_ids);

  IF (a->>'mayFinish')::boolean AND a ? 'sessionTable' AND covered_ids <> '{}' THEN
    -- A table that cannot be written must not take the mark with it: the caller then destroys by itself, and says what failed.
    BEGIN
      EXECUTE format('DELETE FROM %s WHERE sid = ANY ($1)', (a->>'sessionTable')::regclass) USING covered_ids;
      PERFORM bcl_unbind_ids(covered_ids);
      finished := true;
    EXCEPTION WHEN OTHERS THEN
      finished := false;
    END;
  ELSE
    finished := (a->>'mayFinish')::boolean AND covered_ids = '{}';
  END IF;
  IF finished THEN
    PERFORM bcl_complete_jti(jti, jti_until);
  END IF;
  PERFORM bcl_prune(20);
  RETURN jsonb_build_object('replayed', false, 'mark', bcl_mark_json(mark), 'ids', to_jsonb(covered_ids),
    'tokens', to_jsonb(tokens), 'mismatched', mismatched, 'finished', finished);
END $$;

CREATE OR REPLACE FUNCTION bcl_complete(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_complete_jti(a->>'jti', (a->>'jtiExp')::double precision);
  PERFORM bcl_unbind_ids(ids);
  RETURN '{}';
END $$;

-- The log from a cursor (a transaction id and the time of that read), or all live marks. Everything is seen in one snapshot.
CREATE OR REPLACE FUNCTION bcl_pull(a jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'now', bcl_now(),
    'xmin', pg_snapshot_xmin(pg_current_snapshot())::text,
    'reset', lost,
    'marks', CASE WHEN lost
      THEN (SELECT coalesce(jsonb_agg(bcl_mark_json(m)), '[]') FROM bcl_mark m WHERE m.expires_at > bcl_now())
      ELSE (SELECT coalesce(jsonb_agg(l.mark), '[]') FROM bcl_log l WHERE l.xid >= (a->>'after')::xid8 AND l.mark IS NOT NULL)
    END,
    'ids', CASE WHEN lost THEN '[]'
      ELSE (SELECT coalesce(jsonb_agg(DISTINCT l.session_id), '[]') FROM bcl_log l
            WHERE l.xid >= (a->>'after')::xid8 AND l.session_id IS NOT NULL)
    END)
  FROM (SELECT NOT (a ? 'after') OR bcl_now() - (a->>'readAt')::double precision NOT BETWEEN -1 AND 150 AS lost) position
$$;
