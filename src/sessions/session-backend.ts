// What the engine asks of local sessions, and what it offers their stores in return. Knows no framework.

/** One local session as it stands in a request. */
export interface LocalSession {
  readonly sessionId: string
  /** Until when the session's own store may keep it, in epoch seconds; absent where the store does not say. */
  readonly expiresAt?: number | undefined
}

/** Where the local sessions are, and how one of them is destroyed. `Req` is the request of its framework. */
export interface SessionBackend<Req> {
  /**
   * The same object for every backend over the same sessions: receivers over them share what this process knows of
   * these. Absent: each knows its own.
   */
  readonly sessionStore?: object
  /**
   * True where other processes share these sessions, or a restart leaves them: the logout store must be shared as well
   * then.
   */
  readonly outlivesProcess?: boolean
  /** The session of a request; `undefined` if it has none. */
  sessionOf(req: Req): LocalSession | undefined
  /**
   * A login of this request cannot be bound here: its session is of another store. What it has saved already must not
   * stand. Never rejects.
   */
  refuse?(req: Req): Promise<void>
  /** Destroys one session. Resolves only if it is gone; an unknown id is success. */
  destroy(sessionId: string): Promise<void>
  /**
   * The data of one session as its own store has them, dead or alive; `undefined` if it is gone. Needed by `recordIn`
   * of `rpInitiatedLogout` alone.
   */
  read?(sessionId: string): Promise<object | undefined>
  /**
   * Whether this session is still there. Absent where some may be in another store, of which this one knows nothing.
   * Asked by `logout.sessions` alone.
   */
  hasRow?(sessionId: string): Promise<boolean>
  /** What `bound` was told of this session, as its own store has it. Needed by `onLogout` alone. */
  namesOf?(sessionId: string): Promise<SignOnNames | undefined>
  /** Called once when the receiver is created: from then on the backend keeps dead sessions dead. */
  protect(guard: SessionGuard): void
  /**
   * A login was bound to this request's session: from now on, a session whose binding was lost is not believed.
   * `names`: whose it is, where `onLogout` wants to know, to be kept with the session for `namesOf`.
   */
  bound(req: Req, limits?: SessionLimits, names?: SignOnNames): void
  /**
   * `guard` is about to end this request's sign-on on purpose: a later change of its session id has nothing of it to
   * carry on. Never rejects. May resolve to the guards that are to end it: each of the session store, where `guard`
   * knows nothing of this session and another may; otherwise `guard` does alone.
   */
  released(req: Req, guard: SessionGuard): void | Promise<void> | Promise<readonly SessionGuard[]>
}

/**
 * What the receiver knows of a session. `ended`: it is dead. `bound`: a live sign-on hangs on it. `unbound`: nobody
 * signed in here, or the logout store has lost what it knew.
 */
export type SessionVerdict = 'ended' | 'bound' | 'unbound'

/** Until when a session's own store may keep it (epoch seconds); absent where it does not say. */
export type KeptUntil = number | undefined | Promise<number | undefined>

/** Whose sign-on a session is, in plain text. */
export interface SignOnNames {
  readonly issuer: string
  readonly clientId: string
  readonly sub: string
  readonly sid?: string | undefined
}

/** When a session ends by itself. */
export interface SessionLimits {
  /** After so many seconds no read finds it, however much it is used. */
  readonly secondsLeft?: number | undefined
  /** For how long it may go unused. */
  readonly idleSeconds?: number | undefined
}

/** A verdict, and when the session ends by itself where it is bound. */
export interface JudgedSession extends SessionLimits {
  /** With `ended`: nobody ended it, its time was over. */
  readonly isOver?: boolean
  readonly verdict: SessionVerdict
}

/** What a protected session store asks before it believes a session. */
export interface SessionGuard {
  /**
   * The same for receivers of the same clients, of which a session store needs the latest only; absent where not known.
   */
  readonly identity?: string | undefined
  /** Guards with the same one know the same sign-ons. */
  readonly logoutStore: object
  /** Its receiver was closed: it may be dropped as soon as another takes its place that denies the same. */
  isClosed(): boolean
  /** A logout is not finished here: it is denied by this guard, and perhaps by no store. No look-up. */
  hasUnfinished(): boolean
  /** Its receiver was closed, and nothing is remembered for it any more. No look-up. */
  isOver(): boolean
  /**
   * What is known of this session. Rejects with `NoVerdictError` where that cannot be found out. One look-up.
   * `keptUntil` (epoch seconds): how long the session's own store may keep it from now on; its binding is made to last
   * longer. It may come later than the verdict, which does not wait for it, and must not reject.
   */
  verdictOn(sessionId: string, keptUntil?: KeptUntil): Promise<SessionVerdict>
  /** The same, with when it ends by itself. */
  judge(sessionId: string, keptUntil?: KeptUntil): Promise<JudgedSession>
  /**
   * By what the logout store knows this session's sign-on: the same text from guards that look into the same data, and
   * from no others; `undefined` where it knows nothing of it. Rejects with `NoVerdictError` where that cannot be found
   * out.
   */
  signOnUnder(sessionId: string): Promise<string | undefined>
  /** Whether this process ended it a short while ago. No look-up. */
  wasEndedHere(sessionId: string): boolean
  /**
   * A session id changes: the old one is marked as left, `change` destroys its row and resolves to the new id, and the
   * sign-on's change to it is pending, alive or ended. Resolves to the new id; rejects if that could not be recorded,
   * and the new id is dead then.
   */
  changeSessionId(fromSessionId: string, change: () => Promise<string>): Promise<string>
  /** When a session ends by itself whose change to this id is pending. No look-up. */
  limitsOfChange(sessionId: string): SessionLimits | undefined
  /**
   * A new id is about to be written: a pending change to it is finished first. Resolves to whether this process gave it
   * to a sign-on by a change, also where that was finished before; rejects like `changeSessionId`.
   */
  finishChange(sessionId: string): Promise<boolean>
  /** The application destroys this session: marked first, destroyed by `destroyRow`, then unbound. */
  endLocally(sessionId: string, destroyRow: () => Promise<void>): Promise<void>
  /** A session with a user was read that no login is bound to; `wasBound`: it says that one was. For warnings. */
  unboundSession(wasBound: boolean): void
  /** A dead session was met by a read or refused a write; for the event stream. */
  resurrectionBlocked(how: 'read' | 'write'): void
}
