// The port: what every logout store remembers and promises. `logoutStoreContract` in the testing kit is its definition:
// a store is right if that suite passes. Stores see hashed keys and local session ids, never a `sub`, `sid` or token.
import type { Mark, SignOn } from '../marks/covering.js'
import type { TargetKey } from '../marks/target.js'

/** When a sign-on ends by itself, though nobody says so. */
export interface SignOnLimits {
  /**
   * From then on it is over, whatever renews its session. Epoch seconds of the RP's clock, which whoever reads it
   * compares.
   */
  readonly endsAt?: number | undefined
  /** How long its session may go unused; for the session's own store to see to. */
  readonly idleSeconds?: number | undefined
}

/** The remembered tie between a sign-on at the OP and a local session. Times are absolute epoch seconds. */
export interface Binding extends SignOn, SignOnLimits {
  readonly sessionId: string
  readonly subKey: string
  readonly sidKey?: string | undefined
  /** The store's clock at the first bind; kept when the session id changes, like the other dates. */
  readonly boundAt: number
  readonly expiresAt: number
}

/** A binding to be written. `tokenKeys`: keys of access tokens that live and die with this session. */
export interface NewBinding extends SignOnLimits {
  readonly sessionId: string
  readonly subKey: string
  readonly sidKey?: string | undefined
  readonly issuedAt?: number | undefined
  /**
   * When the login was begun, at the earliest, by the **store's** clock: a login begun after a mark was seen is not
   * covered by it.
   */
  readonly startedAt?: number | undefined
  readonly expiresAt: number
  readonly tokenKeys?: readonly string[] | undefined
  /** Whatever is to be listed with it, opaque to the store; goes along when the session id changes. */
  readonly about?: string | undefined
}

/** Sessions that are bound under a key, a page of them. */
export interface ListedSessions {
  readonly sessions: readonly { readonly sessionId: string; readonly about?: string | undefined }[]
  /** Where the next page begins. Opaque; absent on the last. */
  readonly cursor?: string | undefined
}

/** All that is known of one local session. It is dead if `ended`, or if a mark covers its binding. */
export interface SessionState {
  /** The session id was ended, or left behind by a change of id. Such an id never lives again. */
  readonly ended: boolean
  readonly binding?: Binding | undefined
  /** Live marks under the binding's `sidKey` and `subKey`, unjudged. Empty without a binding. */
  readonly marks: readonly Mark[]
  /** True: a copy of the store answered, which may not have heard yet of a later sign-on under this id. */
  readonly lags?: boolean
}

/** What is known of a session that was just bound, and what o'clock it was then in the store (epoch seconds). */
export type BoundState = SessionState & { readonly binding: Binding; readonly now: number }

/** Marks, unjudged, and what o'clock it was in the store when they were read (epoch seconds). */
export interface FoundMarks {
  readonly now: number
  /** True: a copy of the store answered, and in the store it is later, by nobody knows how much. */
  readonly lags?: boolean
  readonly marks: readonly Mark[]
}

/** The remembered use of a Logout Token. */
export interface JtiKey {
  readonly key: string
  /** Until when the token may be presented again. The store remembers it `JTI_SPARE_SECONDS` longer. */
  readonly expiresAt: number
}

/**
 * How much longer than asked a store remembers a jti: a token that expired by a clock that was set forward for a while,
 * or by one store's and not by another's, is valid again afterwards.
 */
export const JTI_SPARE_SECONDS = 86_400

/** What `begin` is told. Times are absolute epoch seconds. */
export interface BeginLogout {
  readonly target: TargetKey
  /**
   * `iat` of the Logout Token (OP clock). Absent: no token is behind the logout; it ends what was bound by now, by the
   * store's clock.
   */
  readonly issuedAt?: number | undefined
  /**
   * How long before this call the logout was first seen: a late retry is dated back, so that it ends no login made in
   * between.
   */
  readonly seenSecondsAgo: number
  /** Absent where no token is behind the logout. */
  readonly jti?: JtiKey | undefined
  /** Until when marks must be kept: no session, token or cached claim outlives this. */
  readonly marksExpireAt: number
  /** The caller has nothing to do but destroy sessions: a store that can do that by itself may finish at once. */
  readonly mayDestroy: boolean
  /** `cursor` of the page before. Absent: from the start. */
  readonly cursor?: string | undefined
}

/** What `begin` found and marked, or that this logout was completed before. */
export type BegunLogout =
  | { readonly replayed: true }
  | {
      readonly replayed: false
      /** The mark of this logout, with its own dates, whatever other marks of its target there are. */
      readonly mark: Mark
      /** Ids of bound sessions which that mark covers, a page of them. All of these carry a session mark now. */
      readonly sessionIds: readonly string[]
      /** Keys of the access tokens recorded with these sessions. All of them are marked now. */
      readonly tokenKeys: readonly string[]
      /** Sessions found by `sid` and left alone because they belong to another `sub`. */
      readonly mismatched: number
      /**
       * How many of these sessions were bound without any `sid`, and are ended because the target's `sub` is theirs.
       */
      readonly withoutSid: number
      /**
       * True: the store has itself deleted the row of every session, unbound them and remembered the jti; nothing is
       * left to do. False: each session is to be destroyed through its own store, whatever this one may have deleted.
       */
      readonly finished: boolean
      /**
       * True: the store has itself deleted the row of every session **of this page**, and unbound them; to be true only
       * where `mayDestroy` was said. Absent: nothing of the kind.
       */
      readonly destroyed?: boolean | undefined
      /** Rows that the store was told to delete and did not find: they are somewhere else, if they are. */
      readonly notDeleted: number
      /**
       * The target has further sessions beyond this page. The caller destroys these, closes the page by
       * `complete({ done: false })`, and begins again, with the same jti and this `cursor`, until there are no more.
       */
      readonly more: boolean
      /** Where the next page begins. Opaque; present where there is `more`. */
      readonly cursor?: string | undefined
    }

/** What a local logout ended. */
export interface LocallyEnded {
  /** The given session ids, and those to which their sign-ons had moved on. */
  readonly sessionIds: readonly string[]
  /** Keys of the access tokens that are recorded with them: to mark those is the caller's. */
  readonly tokenKeys: readonly string[]
}

/** What `complete` is told. */
export interface CompleteLogout {
  readonly jti?: JtiKey | undefined
  /** Sessions that were destroyed: their bindings go, their session marks stay. */
  readonly destroyedIds: readonly string[]
  /**
   * Whether every session was destroyed: then the jti is remembered as completed. If not, a jti that was completed
   * before is open again, with its first dates: the OP was told "failed", so its retry is no replay.
   */
  readonly done: boolean
}

/**
 * Bindings, marks and completed jtis. Every method rejects if the store cannot do what it promises, and may be called
 * again after any failure: all are idempotent. Nothing unexpired is ever forgotten, least of all for lack of room.
 */
export interface LogoutStore {
  /**
   * Writes the binding, replacing an older one of the same session id, and **then** reads what stands against it. Of an
   * older one of the same `subKey` and `sidKey` the token keys are kept: the user signed in once more, and is signed
   * out of both. So is an earlier `endsAt`, unless this login was begun (`startedAt`) after that binding was made: a
   * refresh prolongs nothing. A session id that was ended stays ended, unless it only inherited its end by `rebind`: a
   * fresh login is judged by its own dates. The returned binding has the store's `boundAt`.
   */
  bind(binding: NewBinding): Promise<BoundState>

  /**
   * Carries a sign-on to a new session id: copies the old id's binding, dates and token keys included, to the new id,
   * then reads what stands against both, then marks the old id as ended and takes it out of the index. If the old id
   * was ended by a logout, bound or not any more, the new one inherits that end; if the old id was only left behind by
   * another change of id, the new one gets the same sign-on. A login that was bound under the new id later than that
   * sign-on stays there and inherits nothing; if it is of the same `subKey` and `sidKey`, the token keys of the other
   * one are added to its own. Otherwise, with nothing known of the old id, nothing is written. Returns the state of the
   * new id.
   */
  rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState>

  /**
   * What is bound under a target's key, by an index, a page at a time and in any order. Judges nothing, and what is
   * bound or unbound meanwhile may be in it or not; what was there all the time is listed, some of it twice perhaps. A
   * page that has all there is names a session whose id changes meanwhile by one of its ids, perhaps the one it left.
   * Applications hand the cursor on to browsers: it is no session id.
   */
  list(target: TargetKey, cursor?: string | undefined): Promise<ListedSessions>

  /** Moves a binding's expiry later, never earlier. Unknown ids are ignored. */
  renew(sessionId: string, expiresAt: number): Promise<void>

  /**
   * Records further access tokens with a bound session (write), then reads what stands against it. Unknown ids are
   * ignored.
   */
  addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState>

  /**
   * One look-up: everything a verdict on this session needs. `current`: as the store itself has it now, not a copy that
   * may lag: it decides whom to end, or to refuse.
   */
  read(sessionId: string, how?: { readonly current?: boolean }): Promise<SessionState>

  /**
   * One look-up: the live marks under these keys, and the store's clock. Where this process has them at hand the answer
   * itself, and no promise of it: it is asked for with each use of an access token.
   */
  marks(keys: readonly string[]): FoundMarks | Promise<FoundMarks>

  /** One look-up: whether a session is bound under this `sidKey` or `subKey`, dead or alive. Writes nothing. */
  isBound(key: string): Promise<boolean>

  /**
   * Marks session ids as ended (a local logout), without touching their bindings. Where a sign-on has moved on from
   * such an id, it is followed: the ids that still hold it inherit the end, as they would had they been moved to after
   * it. A fresh login under such an id lives. A repeat names again all that still hold the sign-on, with its tokens.
   * `sparedIds`: sessions of the same sign-on that live on. They are neither ended nor followed, and their tokens, which
   * the others may have as well, are not named.
   */
  endSessions(sessionIds: readonly string[], expiresAt: number, sparedIds?: readonly string[]): Promise<LocallyEnded>

  /** Removes bindings; session marks stay. */
  unbind(sessionIds: readonly string[]): Promise<void>

  /**
   * Opens a logout. A completed jti: `replayed`, nothing happens. Otherwise writes the target's mark, beside those that
   * do not cover all that it covers, then looks the target's bindings up, a page of them, and marks each session that
   * this mark covers, and its tokens. A target of scope `sid` with a `subKey` also ends the bindings of that subject
   * that were made without any `sid`, now and by a mark of scope `sidless` under that `subKey`. A jti that was opened
   * before and not completed keeps its first dates, so that a retry never ends a login made in between.
   */
  begin(logout: BeginLogout): Promise<BegunLogout>

  /** Closes a logout, wholly or as far as it came. */
  complete(logout: CompleteLogout): Promise<void>
}
