-- The logout store in PostgreSQL 13 or later: tables, and one function for each method of the store. May be applied any
-- number of times, by any number of nodes at once:  psql "$DATABASE_URL" --single-transaction -f schema.sql
-- Tables and functions live in the first schema of the search_path. Times are epoch seconds.
--
-- Write, then look, under READ COMMITTED: a write is invisible to others until its transaction ends, so two functions
-- at the same time could each miss what the other wrote. Whoever creates access therefore holds a shared advisory lock on the
-- keys of its sign-on, and a logout an exclusive one on its target's, until the transaction ends; each statement inside a
-- function then has a snapshot of its own, taken after the lock.
--
-- Order of locks, so that none wait in a circle: jti, advisory locks by key, session rows by id, marks by key, the row of the jti.
--
-- Every look-up here is by a key of an index, so each function has one plan for all its calls, made at a connection's first: without
-- the settings below PostgreSQL plans statements with arrays at each call, or keeps a scan that it chose when a table was small.
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
  -- 'ended', 'inherited' or 'moved', which keeps the sign-on for whoever else is regenerated from this id. No CHECK says so: PostgreSQL
  -- parses its text at each statement that writes.
  ended       text,
  ended_until double precision,
  kept_until  double precision NOT NULL
);
-- Neither can serve a statement that has no such key: by "bound" alone it would read all sessions there are.
CREATE INDEX IF NOT EXISTS bcl_session_by_sub ON bcl_session (sub_key) WHERE bound AND sub_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS bcl_session_by_sid ON bcl_session (sid_key) WHERE bound AND sid_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS bcl_session_by_end ON bcl_session (kept_until);

CREATE TABLE IF NOT EXISTS bcl_mark (
  key        text NOT NULL,
  sub_key    text NOT NULL DEFAULT '',
  scope      text NOT NULL,
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
  SELECT date_part('epoch', clock_timestamp())
$$;

CREATE OR REPLACE FUNCTION bcl_lock_id(key text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended('bcl:' || key, 0)
$$;

CREATE OR REPLACE FUNCTION bcl_need_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'The logout store needs transaction_isolation read committed' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END $$;

-- Held by whoever creates access, until the transaction ends.
CREATE OR REPLACE FUNCTION bcl_lock_signon(sub_key text, sid_key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  sub_id bigint := bcl_lock_id(sub_key);
  sid_id bigint := bcl_lock_id(sid_key);
BEGIN
  PERFORM bcl_need_read_committed();
  PERFORM pg_advisory_xact_lock_shared(least(sub_id, sid_id));
  PERFORM pg_advisory_xact_lock_shared(greatest(sub_id, sid_id));
END $$;

CREATE OR REPLACE FUNCTION bcl_mark_json(m bcl_mark) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(m.scope, m.key, m.sub_key, m.issued_at, m.seen_at, m.expires_at)
$$;

CREATE OR REPLACE FUNCTION bcl_signon_json(s bcl_session) RETURNS jsonb LANGUAGE sql STABLE AS $$
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

CREATE OR REPLACE FUNCTION bcl_marks_json(keys text[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  -- Not a condition of the look-up: all that lives is a range of an index, too.
  RETURN (SELECT coalesce(jsonb_agg(bcl_mark_json(m)) FILTER (WHERE m.expires_at > time), '[]') FROM bcl_mark m WHERE m.key = ANY (keys));
END $$;

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

CREATE OR REPLACE FUNCTION bcl_marks(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  RETURN jsonb_build_object('now', bcl_now(), 'marks', bcl_marks_json(ARRAY(SELECT jsonb_array_elements_text(a->'keys'))));
END $$;

CREATE OR REPLACE FUNCTION bcl_log_sessions(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bcl_log (at, session_id) SELECT bcl_now(), id FROM unnest(ids) id;
END $$;

-- Deletes at most so many expired rows of each table and returns how many there were. Any node may, at any time. The time is
-- a variable where an index is to serve, and a function, which may change between rows and so is served by none, where not; rows go
-- by ctid, an array, because a join with a batch of unknown size may be planned as a scan of the whole table.
CREATE OR REPLACE FUNCTION bcl_prune(batch integer) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  time double precision := bcl_now();
  pruned bigint;
BEGIN
  WITH sessions AS (
    DELETE FROM bcl_session WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_session WHERE kept_until <= time ORDER BY kept_until LIMIT batch FOR UPDATE SKIP LOCKED))
      AND kept_until <= bcl_now() RETURNING 1
  ), marks AS (
    DELETE FROM bcl_mark WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_mark WHERE expires_at <= time ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED))
      AND expires_at <= bcl_now() RETURNING 1
  ), jtis AS (
    DELETE FROM bcl_jti WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_jti WHERE expires_at <= time ORDER BY expires_at LIMIT batch FOR UPDATE SKIP LOCKED))
      AND expires_at <= bcl_now() RETURNING 1
  ), log AS (
    DELETE FROM bcl_log WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM bcl_log WHERE at < time - 300 ORDER BY at LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING 1
  )
  SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM marks) + (SELECT count(*) FROM jtis) + (SELECT count(*) FROM log)
  INTO pruned;
  RETURN pruned;
END $$;

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

CREATE OR REPLACE FUNCTION bcl_bind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
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
  PERFORM bcl_lock_signon(s.sub_key, s.sid_key);
  -- A login within one tick of the clock after a logout is still known to be the later one.
  SELECT greatest(bcl_now(), max(seen_at) + 1e-6) INTO s.bound_at
    FROM bcl_mark WHERE key = s.sub_key AND scope = 'sub' AND expires_at > bcl_now();
  PERFORM bcl_put(s, true);
  reply := bcl_read(a) || jsonb_build_object('signon', bcl_signon_json(s));
  PERFORM bcl_prune(4);
  RETURN reply;
END $$;

CREATE OR REPLACE FUNCTION bcl_rebind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  from_id text := a->>'old';
  to_id text := a->>'new';
  asked_until double precision := (a->>'exp')::double precision;
  time double precision;
  peek bcl_session;
  s bcl_session;
  has_signon boolean;
  inherits boolean;
  moved bcl_session;
BEGIN
  SELECT * INTO peek FROM bcl_session WHERE session_id = from_id;
  PERFORM bcl_lock_signon(peek.sub_key, peek.sid_key);
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

CREATE OR REPLACE FUNCTION bcl_renew(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  till double precision := (a->>'exp')::double precision;
BEGIN
  UPDATE bcl_session SET expires_at = till, kept_until = greatest(kept_until, till)
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now() AND expires_at < till;
  RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION bcl_add_tokens(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  UPDATE bcl_session
  SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || ARRAY(SELECT jsonb_array_elements_text(a->'tokens'))))
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now();
  RETURN bcl_read(a);
END $$;

CREATE OR REPLACE FUNCTION bcl_end_sessions(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT DISTINCT id FROM jsonb_array_elements_text(a->'ids') id ORDER BY id);
  till double precision := (a->>'exp')::double precision;
BEGIN
  INSERT INTO bcl_session AS old (session_id, bound, ended, ended_until, kept_until)
  SELECT id, false, 'ended', till, till FROM unnest(ids) id ORDER BY id
  ON CONFLICT (session_id) DO UPDATE SET
    ended = 'ended', ended_until = greatest(old.ended_until, till), kept_until = greatest(old.kept_until, till);
  PERFORM bcl_log_sessions(ids);
  RETURN jsonb_build_object('tokens', (
    SELECT coalesce(jsonb_agg(token), '[]') FROM bcl_session, unnest(token_keys) token WHERE session_id = ANY (ids) AND bound));
END $$;

CREATE OR REPLACE FUNCTION bcl_unbind_ids(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM bcl_session WHERE session_id = ANY (ids) ORDER BY session_id FOR UPDATE;
  UPDATE bcl_session SET bound = false, token_keys = '{}', kept_until = coalesce(ended_until, 0)
  WHERE session_id = ANY (ids) AND bound;
END $$;

CREATE OR REPLACE FUNCTION bcl_unbind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  PERFORM bcl_log_sessions(ids);
  RETURN '{}';
END $$;

-- What was completed stays so, and what was opened keeps its first dates, until it expires.
CREATE OR REPLACE FUNCTION bcl_remember_jti(new bcl_jti) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  INSERT INTO bcl_jti AS old SELECT new.*
  ON CONFLICT (key) DO UPDATE SET
    issued_at = CASE WHEN old.expires_at > time THEN old.issued_at ELSE new.issued_at END,
    seen_at = CASE WHEN old.expires_at > time THEN old.seen_at ELSE new.seen_at END,
    completed = new.completed OR old.completed AND old.expires_at > time,
    expires_at = new.expires_at;
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
  RETURN merged;
END $$;

-- The rows of connect-pg-simple; false if they could not be deleted. A table that cannot be written must not take the mark with it, nor
-- must a row that somebody else holds locked: the caller then destroys by itself, and says what failed.
CREATE OR REPLACE FUNCTION bcl_destroy(session_table text, ids text[]) RETURNS boolean LANGUAGE plpgsql
SET lock_timeout = '1s' AS $$
BEGIN
  EXECUTE format('DELETE FROM %s WHERE sid = ANY ($1)', session_table::regclass) USING ids;
  RETURN true;
EXCEPTION WHEN OTHERS OR query_canceled THEN
  RETURN false;
END $$;

CREATE OR REPLACE FUNCTION bcl_begin(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  jti text := a->>'jti';
  marks_until double precision := (a->>'marksExp')::double precision;
  target_scope text := a->>'scope';
  target_key text := a->>'key';
  target_sub text := a->>'sub';
  tolerance double precision := (a->>'tolerance')::double precision;
  ago double precision := (a->>'ago')::double precision;
  finished boolean := a->>'mayFinish';
  time double precision;
  issued double precision := (a->>'iat')::double precision;
  seen double precision;
  opened bcl_jti;
  mark bcl_mark;
  found_sessions bcl_session[] := '{}';
  covered_ids text[];
  token record;
  tokens text[] := '{}';
  mismatched bigint;
BEGIN
  PERFORM bcl_need_read_committed();
  IF jti IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(bcl_lock_id('jti ' || jti));
    SELECT * INTO opened FROM bcl_jti WHERE key = jti AND expires_at > bcl_now();
    IF opened.completed THEN
      RETURN '{"replayed": true}';
    END IF;
    issued := coalesce(opened.issued_at, issued);
  END IF;

  PERFORM pg_advisory_xact_lock(bcl_lock_id(target_key));
  IF target_scope = 'sub' THEN
    found_sessions := ARRAY(SELECT s FROM bcl_session s WHERE bound AND sub_key = target_key ORDER BY session_id FOR UPDATE);
  ELSIF target_scope = 'sid' THEN
    found_sessions := ARRAY(SELECT s FROM bcl_session s WHERE bound AND sid_key = target_key ORDER BY session_id FOR UPDATE);
  END IF;
  -- Looked at only now: whoever renewed a session while its row was waited for keeps it alive.
  time := bcl_now();
  -- A clock that was set back must not date a logout before the logins that it ends.
  -- A late retry is meant to be dated before the logins that were made since.
  seen := coalesce(opened.seen_at, CASE WHEN ago > 0 THEN time - ago
    ELSE greatest(time, (SELECT max(s.bound_at) FROM unnest(found_sessions) s WHERE s.expires_at > time)) END);
  mark := bcl_merge_mark(ROW(target_key, target_sub, target_scope, issued, seen, marks_until)::bcl_mark);
  SELECT count(*) FILTER (WHERE target_sub NOT IN ('', s.sub_key)),
    coalesce(array_agg(s.session_id) FILTER (WHERE bcl_covers(mark, s, tolerance)), '{}')
    INTO mismatched, covered_ids FROM unnest(found_sessions) s WHERE s.expires_at > time;

  IF covered_ids <> '{}' THEN
    finished := finished AND a ? 'sessionTable' AND bcl_destroy(a->>'sessionTable', covered_ids);
    FOR token IN
      SELECT t AS key, max(greatest(marks_until, s.expires_at)) AS till
      FROM unnest(found_sessions) s, unnest(s.token_keys) t WHERE s.session_id = ANY (covered_ids) GROUP BY t ORDER BY t
    LOOP
      INSERT INTO bcl_log (at, mark)
      VALUES (time, bcl_mark_json(bcl_merge_mark(ROW(token.key, '', 'token', issued, seen, token.till)::bcl_mark)));
      tokens := tokens || token.key;
    END LOOP;
    UPDATE bcl_session SET
      bound = NOT finished,
      token_keys = CASE WHEN finished THEN '{}' ELSE token_keys END,
      ended = 'ended',
      ended_until = greatest(ended_until, marks_until, expires_at),
      kept_until = greatest(ended_until, marks_until, expires_at)
    WHERE session_id = ANY (covered_ids);
  END IF;
  INSERT INTO bcl_log (at, mark, session_id) VALUES (time, bcl_mark_json(mark), covered_ids[1]);
  IF cardinality(covered_ids) > 1 THEN
    PERFORM bcl_log_sessions(covered_ids[2:]);
  END IF;
  IF jti IS NOT NULL THEN
    PERFORM bcl_remember_jti(ROW(jti, issued, seen, finished, (a->>'jtiExp')::double precision)::bcl_jti);
  END IF;
  -- The doorbell; whoever misses it reads the log a little later.
  NOTIFY bcl_log;
  PERFORM bcl_prune(20);
  RETURN jsonb_build_object('replayed', false, 'mark', bcl_mark_json(mark), 'ids', to_jsonb(covered_ids),
    'tokens', to_jsonb(tokens), 'mismatched', mismatched, 'finished', finished);
END $$;

CREATE OR REPLACE FUNCTION bcl_complete(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  IF a ? 'jti' THEN
    PERFORM bcl_remember_jti(ROW(a->>'jti', 0, NULL, true, (a->>'jtiExp')::double precision)::bcl_jti);
  END IF;
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
      ELSE (SELECT coalesce(jsonb_agg(l.mark), '[]') FROM bcl_log l WHERE (l.xid >= after OR l.at >= since) AND l.mark IS NOT NULL)
    END,
    'ids', CASE WHEN lost THEN '[]'
      ELSE (SELECT coalesce(jsonb_agg(DISTINCT l.session_id), '[]') FROM bcl_log l
            WHERE (l.xid >= after OR l.at >= since) AND l.session_id IS NOT NULL)
    END)
  FROM (SELECT
    NOT (a ? 'after') OR bcl_now() - (a->>'readAt')::double precision NOT BETWEEN -1 AND 150 AS lost,
    (a->>'after')::xid8 AS after,
    -- A crash, or a stand-by that takes over, gives transaction ids a second time: what was logged since the last read, by a clock
    -- that may lag, counts whatever its id.
    (a->>'readAt')::double precision - 5 AS since) position
$$;
