-- Generated from sql/ by `npm run embed`: do not edit.
-- The logout store in PostgreSQL 13 or later: tables, and one function for each method of the store. May be applied any
-- number of times, by any number of nodes at once:  psql "$DATABASE_URL" --single-transaction -f schema.sql
-- Tables and functions live in the first schema of the search_path. Times are epoch seconds.
--
-- Write, then look, under READ COMMITTED: a write is invisible to others until its transaction ends, so two functions
-- at the same time could each miss what the other wrote. Whoever creates access therefore holds a shared advisory lock
-- on the keys of its sign-on, and a logout an exclusive one on its target's, until the transaction ends; each statement
-- inside a function then has a snapshot of its own, taken after the lock.
--
-- Order of locks, so that hardly any wait in a circle (a row that is not visible yet is met out of order; PostgreSQL
-- ends such a circle after deadlock_timeout, and the store tries again): jti, advisory locks by key, session rows by
-- id, marks by key, the row of the jti.
--
-- Every look-up here is by a key of an index, so each function has one plan for all its calls, made at a connection's
-- first: without its settings PostgreSQL plans statements with arrays at each call, or keeps a scan that it chose when
-- a table was small.
SELECT pg_advisory_xact_lock(hashtextextended('bcl:schema', 0));

DO $migrations$
DECLARE
  installed integer := 0;
BEGIN
  IF to_regprocedure(quote_ident(current_schema()) || '.bcl_version()') IS NOT NULL THEN
    EXECUTE 'SELECT ' || quote_ident(current_schema()) || '.bcl_version()' INTO installed;
  END IF;
  IF installed > 6 THEN
    RAISE EXCEPTION 'The logout store of this database has schema version %, of a newer package than this, which has %',
      installed, 6 USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF installed < 1 THEN
    CREATE TABLE IF NOT EXISTS bcl_session (
      session_id  text PRIMARY KEY,
      bound       boolean NOT NULL,
      sub_key     text,
      sid_key     text,
      issued_at   double precision,
      bound_at    double precision,
      expires_at  double precision,
      token_keys  text[] NOT NULL DEFAULT '{}',
      -- 'ended', 'inherited' or 'moved', which keeps the sign-on for whoever else is regenerated from this id. No CHECK
      -- says so: PostgreSQL parses its text at each statement that writes.
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

    -- Read by transaction id from the oldest one that was still open at the last read: serial numbers become visible out of
    -- order.
    CREATE TABLE IF NOT EXISTS bcl_log (
      xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
      at         double precision NOT NULL,
      mark       jsonb,
      session_id text
    );
    CREATE INDEX IF NOT EXISTS bcl_log_by_xid ON bcl_log (xid);
    CREATE INDEX IF NOT EXISTS bcl_log_by_time ON bcl_log (at);
  END IF;
  IF installed < 2 THEN
    -- Where sign-ons went from here, while ended is 'moved', and after that for a repeat; each as bcl_pointer writes it.
    ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS moved_to jsonb[] NOT NULL DEFAULT '{}';
  END IF;
  IF installed < 3 THEN
    -- When a login was begun; several marks of one target, and such as no Logout Token is behind; sessions of a target in
    -- the order of their ids, a page at a time.
    ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS started_at double precision;
    DROP INDEX IF EXISTS bcl_session_by_sub, bcl_session_by_sid, bcl_session_without_sid;
    CREATE INDEX bcl_session_by_sub ON bcl_session (sub_key, session_id) WHERE bound AND sub_key IS NOT NULL;
    CREATE INDEX bcl_session_by_sid ON bcl_session (sid_key, session_id) WHERE bound AND sid_key IS NOT NULL;
    CREATE INDEX bcl_session_without_sid ON bcl_session (sub_key, session_id)
      WHERE bound AND sub_key IS NOT NULL AND sid_key IS NULL;
    ALTER TABLE bcl_mark DROP CONSTRAINT IF EXISTS bcl_mark_pkey, ALTER COLUMN issued_at DROP NOT NULL;
    CREATE INDEX IF NOT EXISTS bcl_mark_by_key ON bcl_mark (key);
    ALTER TABLE bcl_jti ALTER COLUMN issued_at DROP NOT NULL;
    DROP FUNCTION IF EXISTS bcl_covers(bcl_mark, bcl_session, double precision);
    DROP FUNCTION IF EXISTS bcl_merge_mark(bcl_mark);
    DROP FUNCTION IF EXISTS bcl_destroy(text, text[]);
  END IF;
  IF installed < 4 THEN
    -- Databases that began with the first form of version 1 have CHECKs still, which know no mark of sign-ons without a
    -- sid: every logout by sid and sub would fail. They have functions still that nothing calls any more, too.
    ALTER TABLE bcl_session DROP CONSTRAINT IF EXISTS bcl_session_ended_check;
    ALTER TABLE bcl_mark DROP CONSTRAINT IF EXISTS bcl_mark_scope_check;
    DROP FUNCTION IF EXISTS bcl_lock(text[], boolean);
    DROP FUNCTION IF EXISTS bcl_complete_jti(text, double precision);
  END IF;
  IF installed < 5 THEN
    -- When a sign-on ends by itself, and what is listed with it.
    ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS ends_at double precision;
    ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS idle_seconds double precision;
    ALTER TABLE bcl_session ADD COLUMN IF NOT EXISTS about text;
    -- It returned nothing before.
    DROP FUNCTION IF EXISTS bcl_put(bcl_session, boolean);
  END IF;
  IF installed < 6 THEN
    -- The log says which sessions were ended, and where a sign-on moved on to: what hears of ends elsewhere needs both.
    ALTER TABLE bcl_log ADD COLUMN IF NOT EXISTS ended boolean, ADD COLUMN IF NOT EXISTS moved_to text;
  END IF;
END $migrations$;

-- Whether one mark ends everything that another of the same key ends.
CREATE OR REPLACE FUNCTION bcl_covers_all_of(m bcl_mark, other bcl_mark) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (m.scope = other.scope OR m.scope = 'sub' AND other.scope = 'sidless')
    AND (m.scope = 'token'
      OR m.sub_key IN ('', other.sub_key)
        AND m.seen_at >= other.seen_at
        AND CASE WHEN m.issued_at IS NULL OR other.issued_at IS NULL
          THEN m.issued_at IS NULL AND other.issued_at IS NULL
          ELSE m.issued_at >= other.issued_at END)
$$;

CREATE OR REPLACE FUNCTION bcl_now() RETURNS double precision LANGUAGE sql VOLATILE AS $$
  SELECT date_part('epoch', clock_timestamp())
$$;

-- Puts a mark beside those of its key. One that ends nothing beyond what another ends is dropped, and the other kept
-- until the later end of both. Rows that another logout is about to write are left as they are: a mark too many does no
-- harm.
CREATE OR REPLACE FUNCTION bcl_add_mark(new bcl_mark) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
  wider tid;
  narrower tid[];
  till double precision;
BEGIN
  SELECT ctid INTO wider FROM bcl_mark m
    WHERE key = new.key AND bcl_covers_all_of(m, new) AND expires_at > time LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE bcl_mark SET expires_at = new.expires_at WHERE ctid = wider AND expires_at < new.expires_at;
    RETURN;
  END IF;
  SELECT array_agg(n.ctid), max(n.expires_at) INTO narrower, till FROM (
    SELECT ctid, expires_at FROM bcl_mark m WHERE key = new.key AND bcl_covers_all_of(new, m) FOR UPDATE SKIP LOCKED
  ) n;
  DELETE FROM bcl_mark WHERE ctid = ANY (narrower);
  new.expires_at := greatest(new.expires_at, till);
  INSERT INTO bcl_mark SELECT new.*;
END $$;

CREATE OR REPLACE FUNCTION bcl_mark_json(m bcl_mark) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(m.scope, m.key, m.sub_key, m.issued_at, m.seen_at, m.expires_at)
$$;

CREATE OR REPLACE FUNCTION bcl_marks_json(keys text[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  -- Not a condition of the look-up: all that lives is a range of an index, too.
  RETURN (SELECT coalesce(jsonb_agg(bcl_mark_json(m)) FILTER (WHERE m.expires_at > time), '[]') FROM bcl_mark m WHERE m.key = ANY (keys));
END $$;

CREATE OR REPLACE FUNCTION bcl_signon_json(s bcl_session) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(s.sub_key, coalesce(s.sid_key, ''), coalesce(to_jsonb(s.issued_at), '""'), s.bound_at, s.expires_at,
    s.started_at, s.ends_at, s.idle_seconds)
$$;

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

CREATE OR REPLACE FUNCTION bcl_add_tokens(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  UPDATE bcl_session
  SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || ARRAY(SELECT jsonb_array_elements_text(a->'tokens'))))
  WHERE session_id = a->>'id' AND bound AND expires_at > bcl_now();
  RETURN bcl_read(a);
END $$;

-- The covering rule of src/marks/covering.ts; the store contract proves that both decide the same.
CREATE OR REPLACE FUNCTION bcl_covers(m bcl_mark, s bcl_session) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT m.sub_key IN ('', s.sub_key)
    AND (s.started_at IS NULL OR s.started_at <= m.seen_at)
    AND CASE WHEN m.issued_at IS NULL THEN s.bound_at <= m.seen_at
      ELSE s.issued_at IS NULL
        OR s.issued_at - m.issued_at <= 0
        OR s.bound_at <= m.seen_at AND s.issued_at - m.issued_at <= 5
        OR m.scope = 'sid' AND s.issued_at - m.issued_at <= 60
    END
$$;

-- The rows of connect-pg-simple; how many there were, or NULL if they could not be deleted. A table that cannot be
-- written must not take the mark with it, nor must a row that somebody else holds locked: the caller then destroys by
-- itself, and says what failed.
CREATE OR REPLACE FUNCTION bcl_destroy(session_table text, ids text[]) RETURNS bigint LANGUAGE plpgsql
SET lock_timeout = '1s' AS $$
DECLARE
  gone bigint;
BEGIN
  EXECUTE format('DELETE FROM %s WHERE sid = ANY ($1)', session_table::regclass) USING ids;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
EXCEPTION WHEN OTHERS OR query_canceled THEN
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION bcl_lock_id(key text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended('bcl:' || key, 0)
$$;

CREATE OR REPLACE FUNCTION bcl_log_ended(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bcl_log (at, session_id, ended) SELECT bcl_now(), id, true FROM unnest(ids) id;
END $$;

CREATE OR REPLACE FUNCTION bcl_need_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'The logout store needs transaction_isolation read committed' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END $$;

-- The sessions that a target names after a position, one more than so many at most, in the order of their ids. Part 0:
-- those of its key. Part 1: of its sub, those without a sid.
CREATE OR REPLACE FUNCTION bcl_page(scope text, target_key text, target_sub text, part integer, after text, room integer)
RETURNS bcl_session[] LANGUAGE plpgsql AS $$
BEGIN
  IF part = 1 THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_sub AND sid_key IS NULL AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  ELSIF scope = 'sub' THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_key AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  ELSIF scope = 'sid' THEN
    RETURN ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sid_key = target_key AND session_id > after ORDER BY session_id LIMIT room + 1 FOR UPDATE);
  END IF;
  RETURN '{}';
END $$;

-- Deletes at most so many expired rows of each table and returns how many there were. Any node may, at any time. The
-- time is a variable where an index is to serve, and a function, which may change between rows and so is served by
-- none, where not; rows go by ctid, an array, because a join with a batch of unknown size may be planned as a scan of
-- the whole table.
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

-- A little for each write, done for many at once: a look for what expired costs about as much as a login. A large batch
-- costs nothing where little expired, and a small one falls behind where a session has many tokens or changes its id
-- often.
CREATE OR REPLACE FUNCTION bcl_prune_at_times() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 1.0 / 16 THEN
    PERFORM bcl_prune(2000);
  END IF;
END $$;

-- What was completed stays so, and what was opened keeps its first dates, until it expires.
CREATE OR REPLACE FUNCTION bcl_remember_jti(new bcl_jti) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  INSERT INTO bcl_jti AS old SELECT new.*
  ON CONFLICT (key) DO UPDATE SET
    issued_at = CASE WHEN old.expires_at > time AND old.seen_at IS NOT NULL THEN old.issued_at ELSE new.issued_at END,
    seen_at = CASE WHEN old.expires_at > time AND old.seen_at IS NOT NULL THEN old.seen_at ELSE new.seen_at END,
    completed = new.completed OR old.completed AND old.expires_at > time,
    expires_at = new.expires_at;
END $$;

-- The doorbell; whoever misses it reads the log a little later. PostgreSQL lets only one transaction that rings commit
-- at a time, each with a wait for the disk, so of those that end something at the same time one rings.
CREATE OR REPLACE FUNCTION bcl_ring() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF pg_try_advisory_xact_lock(bcl_lock_id('doorbell')) THEN
    NOTIFY bcl_log;
  END IF;
END $$;

-- What a logout by sid and sub locks as well: sign-ons of that sub which have no sid.
CREATE OR REPLACE FUNCTION bcl_sidless_lock_id(sub_key text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT bcl_lock_id('sidless ' || sub_key)
$$;

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

-- Held by whoever creates access, until the transaction ends.
CREATE OR REPLACE FUNCTION bcl_lock_signon(sub_key text, sid_key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  sub_id bigint := bcl_lock_id(sub_key);
  sid_id bigint := coalesce(bcl_lock_id(sid_key), bcl_sidless_lock_id(sub_key));
BEGIN
  PERFORM bcl_need_read_committed();
  PERFORM pg_advisory_xact_lock_shared(least(sub_id, sid_id));
  PERFORM pg_advisory_xact_lock_shared(greatest(sub_id, sid_id));
END $$;

CREATE OR REPLACE FUNCTION bcl_log_sessions(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO bcl_log (at, session_id) SELECT bcl_now(), id FROM unnest(ids) id;
END $$;

-- Writes a sign-on under a session id, in place of what was bound there; but one that is carried there gives way to a
-- login that was bound there later. Returns when it ends by itself.
CREATE OR REPLACE FUNCTION bcl_put(s bcl_session, lift_inherited boolean) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  was_there boolean;
  ends double precision;
  time double precision := bcl_now();
BEGIN
  INSERT INTO bcl_session AS old (session_id, bound, sub_key, sid_key, issued_at, started_at, bound_at, expires_at, token_keys, kept_until,
    ends_at, idle_seconds, about)
  VALUES (s.session_id, true, s.sub_key, s.sid_key, s.issued_at, s.started_at, s.bound_at, s.expires_at, s.token_keys, s.expires_at,
    s.ends_at, s.idle_seconds, s.about)
  ON CONFLICT (session_id) DO UPDATE SET
    bound = true, sub_key = s.sub_key, sid_key = s.sid_key, issued_at = s.issued_at, started_at = s.started_at,
    bound_at = s.bound_at, expires_at = s.expires_at, idle_seconds = s.idle_seconds, about = s.about,
    -- Of a sign-on that is bound once more the earlier end stands: only a login that was begun afterwards is another.
    ends_at = CASE WHEN lift_inherited AND old.bound AND old.expires_at > time
      AND old.sub_key = s.sub_key AND old.sid_key IS NOT DISTINCT FROM s.sid_key
      AND (s.started_at IS NULL OR s.started_at <= old.bound_at) THEN least(s.ends_at, old.ends_at) ELSE s.ends_at END,
    -- Of an older binding of the same sign-on the tokens stay: its user signed in once more.
    token_keys = CASE WHEN old.bound AND old.expires_at > time AND old.sub_key = s.sub_key AND old.sid_key IS NOT DISTINCT FROM s.sid_key
      THEN ARRAY(SELECT DISTINCT unnest(old.token_keys || s.token_keys)) ELSE s.token_keys END,
    ended = CASE WHEN old.ended_until <= time OR lift_inherited AND old.ended = 'inherited' THEN NULL ELSE old.ended END,
    moved_to = CASE WHEN old.ended_until > time THEN old.moved_to ELSE '{}' END,
    kept_until = greatest(s.expires_at, old.ended_until)
  WHERE lift_inherited OR NOT old.bound OR old.expires_at <= time OR old.bound_at <= s.bound_at
  RETURNING xmax <> 0, ends_at INTO was_there, ends;
  -- To the later login the tokens come along if it is the same user's: a logout ends both.
  IF was_there IS NULL THEN
    UPDATE bcl_session SET token_keys = ARRAY(SELECT DISTINCT unnest(token_keys || s.token_keys))
    WHERE session_id = s.session_id AND sub_key = s.sub_key AND sid_key IS NOT DISTINCT FROM s.sid_key;
  ELSIF was_there THEN
    PERFORM bcl_log_sessions(ARRAY[s.session_id]);
  END IF;
  RETURN ends;
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
  s.started_at := (a->>'started')::double precision;
  s.expires_at := (a->>'exp')::double precision;
  s.ends_at := (a->>'ends')::double precision;
  s.idle_seconds := (a->>'idle')::double precision;
  s.about := a->>'about';
  s.token_keys := ARRAY(SELECT DISTINCT jsonb_array_elements_text(coalesce(a->'tokens', '[]')));
  PERFORM bcl_lock_signon(s.sub_key, s.sid_key);
  -- A login within one tick of the clock after a logout is still known to be the later one.
  SELECT greatest(bcl_now(), max(seen_at) + 1e-6) INTO s.bound_at
    FROM bcl_mark WHERE key = ANY (ARRAY[s.sub_key, s.sid_key]) AND expires_at > bcl_now();
  s.ends_at := bcl_put(s, true);
  reply := bcl_read(a) || jsonb_build_object('signon', bcl_signon_json(s), 'now', bcl_now());
  PERFORM bcl_prune_at_times();
  RETURN reply;
END $$;

CREATE OR REPLACE FUNCTION bcl_unbind_ids(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM bcl_session WHERE session_id = ANY (ids) ORDER BY session_id FOR UPDATE;
  UPDATE bcl_session SET bound = false, token_keys = '{}', kept_until = coalesce(ended_until, 0)
  WHERE session_id = ANY (ids) AND bound;
END $$;

CREATE OR REPLACE FUNCTION bcl_complete(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  IF a ? 'jti' AND (a->>'done')::boolean THEN
    PERFORM bcl_remember_jti(ROW(a->>'jti', NULL, NULL, true, (a->>'jtiExp')::double precision)::bcl_jti);
  ELSIF a ? 'jti' THEN
    -- A logout that is still at work there may be about to complete it.
    PERFORM pg_advisory_xact_lock(bcl_lock_id('jti ' || (a->>'jti')));
    UPDATE bcl_jti SET completed = false WHERE key = a->>'jti' AND completed;
  END IF;
  RETURN '{}';
END $$;

DROP FUNCTION IF EXISTS bcl_followed(text[]);
-- Pointers to where the sign-ons went that moved on from these ids, as many times as each did. A step is a look-up of
-- its own and no join, which may be planned as a scan of the whole table.
CREATE OR REPLACE FUNCTION bcl_followed(ids text[], spared_ids text[]) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
  time double precision := bcl_now();
BEGIN
  RETURN ARRAY(
    WITH RECURSIVE reached (session_id, pointer) AS (
      SELECT id, NULL::jsonb FROM unnest(ids) id
      UNION
      SELECT next->>0, next FROM reached,
        LATERAL (SELECT s.moved_to FROM bcl_session s
          WHERE s.session_id = reached.session_id AND s.ended IN ('moved', 'ended') AND s.ended_until > time OFFSET 0) here,
        unnest(here.moved_to) next
      WHERE (reached.pointer IS NULL OR next - 0 = reached.pointer - 0) AND next->>0 <> ALL (spared_ids)
    ) SELECT DISTINCT pointer FROM reached WHERE pointer IS NOT NULL);
END $$;

-- A sign-on and the session id under which it is: it keeps its dates when the id changes, and no other has the same.
CREATE OR REPLACE FUNCTION bcl_pointer(s bcl_session) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(s.session_id, s.sub_key, s.sid_key, s.issued_at, s.bound_at)
$$;

CREATE OR REPLACE FUNCTION bcl_end_sessions(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  spared_ids text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(a->'spared', '[]')));
  given_ids text[] := ARRAY(SELECT DISTINCT id FROM jsonb_array_elements_text(a->'ids') id WHERE id <> ALL (spared_ids));
  till double precision := (a->>'exp')::double precision;
  pointers jsonb[];
  time double precision;
  there bcl_session[];
  ended_ids text[];
  heir_ids text[];
  all_ids text[];
  tokens text[];
BEGIN
  -- Each has a row first: what is not there cannot be locked, and could be bound and moved on meanwhile.
  INSERT INTO bcl_session (session_id, bound, ended, ended_until, kept_until)
  SELECT id, false, 'ended', till, till FROM unnest(given_ids) id ORDER BY id ON CONFLICT DO NOTHING;
  pointers := bcl_followed(given_ids, spared_ids);
  there := ARRAY(
    SELECT s FROM bcl_session s
    WHERE session_id = ANY (given_ids || ARRAY(SELECT pointer->>0 FROM unnest(pointers) pointer))
    ORDER BY session_id FOR UPDATE);
  -- No sign-on moves on from here any more, but one may have while its row was waited for; and a row that had expired
  -- may be gone.
  IF NOT (bcl_followed(given_ids, spared_ids) <@ pointers AND given_ids <@ ARRAY(SELECT s.session_id FROM unnest(there) s)) THEN
    RAISE EXCEPTION 'A sign-on moved on meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  time := bcl_now();
  -- The ids that it left behind hand it on no more; the id that holds it inherits the end, so that a fresh login lifts
  -- it. What an earlier call ended is named again: its answer may have been lost.
  SELECT
    given_ids || coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids)
      AND (s.was_moved OR s.is_alive OR s.was_ended)), '{}'),
    given_ids || coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids) AND s.was_moved), '{}'),
    coalesce(array_agg(s.session_id) FILTER (WHERE s.session_id <> ALL (given_ids) AND s.is_alive), '{}')
    INTO all_ids, ended_ids, heir_ids
    FROM (
      SELECT s.session_id,
        coalesce(s.ended = 'moved' AND s.ended_until > time, false) AS was_moved,
        s.ended IS NOT NULL AND s.ended_until > time AND (s.ended = 'ended' OR s.bound AND s.expires_at > time) AS was_ended,
        s.bound AND s.expires_at > time AND NOT coalesce(s.ended IS NOT NULL AND s.ended_until > time, false) AS is_alive
      FROM unnest(there) s WHERE bcl_pointer(s) = ANY (pointers)
    ) s;
  tokens := ARRAY(
    SELECT DISTINCT token FROM unnest(there) s, unnest(s.token_keys) token
    WHERE s.session_id = ANY (all_ids) AND (NOT s.bound OR s.expires_at > time)
    EXCEPT SELECT unnest(token_keys) FROM bcl_session WHERE session_id = ANY (spared_ids));

  UPDATE bcl_session SET
    ended = 'ended',
    ended_until = greatest(ended_until, till, expires_at),
    kept_until = greatest(kept_until, till, expires_at)
  WHERE session_id = ANY (ended_ids);
  IF heir_ids <> '{}' THEN
    UPDATE bcl_session SET
      ended = 'inherited',
      ended_until = greatest(till, expires_at),
      kept_until = greatest(kept_until, till, expires_at)
    WHERE session_id = ANY (heir_ids);
  END IF;
  PERFORM bcl_log_ended(all_ids);
  PERFORM bcl_ring();
  PERFORM bcl_prune_at_times();
  RETURN jsonb_build_object('ids', to_jsonb(all_ids), 'tokens', to_jsonb(tokens));
END $$;

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

-- The sessions under a key, a page of them in the order of their ids, and where the next begins. Applications hand that
-- on to browsers, so it is as much of the next id as tells it from the last one of this page: no id, unless the two
-- differ in their last character only.
CREATE OR REPLACE FUNCTION bcl_list(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  page CONSTANT integer := 1000;
  target_key text := a->>'key';
  start text := coalesce(a->>'after', '');
  time double precision := bcl_now();
  found bcl_session[];
  last text;
  following text;
  next text;
BEGIN
  IF a->>'scope' = 'sub' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sub_key = target_key AND session_id >= start ORDER BY session_id LIMIT page + 1);
  ELSIF a->>'scope' = 'sid' THEN
    found := ARRAY(SELECT s FROM bcl_session s
      WHERE bound AND sid_key = target_key AND session_id >= start ORDER BY session_id LIMIT page + 1);
  END IF;
  IF cardinality(found) > page THEN
    last := found[page].session_id;
    following := found[page + 1].session_id;
    -- By the order of this database, whichever that is.
    SELECT left(following, n) INTO next FROM generate_series(1, length(following)) n
      WHERE left(following, n) > last AND left(following, n) <= following ORDER BY n LIMIT 1;
    found := found[:page];
  END IF;
  RETURN jsonb_build_object('sessions', (SELECT coalesce(jsonb_agg(jsonb_build_array(s.session_id, s.about)), '[]')
      FROM unnest(found) s WHERE s.expires_at > time))
    || CASE WHEN next IS NULL THEN '{}' ELSE jsonb_build_object('next', next) END;
END $$;

CREATE OR REPLACE FUNCTION bcl_marks(a jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
  RETURN jsonb_build_object('now', bcl_now(), 'marks', bcl_marks_json(ARRAY(SELECT jsonb_array_elements_text(a->'keys'))));
END $$;

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
  is_there boolean := false;
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
    s.moved_to := '{}';
    s.bound := coalesce(s.bound, false);
  END IF;
  has_signon := coalesce(s.bound AND s.expires_at > time OR NOT s.bound AND s.ended = 'moved', false);
  inherits := coalesce(s.ended IN ('ended', 'inherited'), false);
  IF has_signon THEN
    moved := s;
    moved.session_id := to_id;
    moved.expires_at := greatest(s.expires_at, asked_until);
    PERFORM bcl_put(moved, false);
    SELECT bound_at > s.bound_at INTO is_there FROM bcl_session WHERE session_id = to_id;
    UPDATE bcl_session SET
      bound = false,
      ended = CASE WHEN inherits THEN s.ended ELSE 'moved' END,
      ended_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END,
      token_keys = CASE WHEN inherits THEN '{}' ELSE token_keys END,
      moved_to = CASE WHEN inherits THEN '{}' WHEN bcl_pointer(moved) = ANY (s.moved_to) THEN s.moved_to
        ELSE s.moved_to || bcl_pointer(moved) END,
      kept_until = CASE WHEN inherits THEN s.ended_until ELSE greatest(s.ended_until, moved.expires_at) END
    WHERE session_id = from_id;
  END IF;
  IF inherits AND NOT is_there THEN
    INSERT INTO bcl_session AS old (session_id, bound, ended, ended_until, kept_until)
    VALUES (to_id, false, 'inherited', greatest(s.ended_until, asked_until), greatest(s.ended_until, asked_until))
    ON CONFLICT (session_id) DO UPDATE SET
      ended = 'inherited', ended_until = excluded.ended_until, kept_until = greatest(old.kept_until, excluded.ended_until)
    WHERE old.ended IS NULL OR old.ended_until <= time;
  END IF;
  IF has_signon OR inherits THEN
    INSERT INTO bcl_log (at, session_id, moved_to) VALUES (time, from_id, CASE WHEN has_signon AND NOT is_there THEN to_id END);
    PERFORM bcl_log_sessions(ARRAY[to_id]);
    PERFORM bcl_prune_at_times();
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

CREATE OR REPLACE FUNCTION bcl_unbind(a jsonb) RETURNS jsonb LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
  ids text[] := ARRAY(SELECT jsonb_array_elements_text(a->'ids'));
BEGIN
  PERFORM bcl_unbind_ids(ids);
  PERFORM bcl_log_sessions(ids);
  RETURN '{}';
END $$;

-- Which migration was the last one.
CREATE OR REPLACE FUNCTION bcl_version() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 6 $$;

-- Which text the functions have.
CREATE OR REPLACE FUNCTION bcl_functions() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '21955f8c4b73bf5f' $$;
