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
