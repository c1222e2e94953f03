// What people set up wrongly, in words: for each mistake one sentence, what to do, and a stable code. Knows nobody who
// prints them.
import { pageOf } from '../advice.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'

interface Words {
  readonly sentence: string
  readonly remedy: string
  readonly anchor: string
}

const SHARED_STORE = 'one shared logout store, such as redisStore(client) or postgresStore(pool)'

/** What can be told from what happens: `reason` of an `ERR_CONFIGURATION`. */
const MISTAKES = {
  never_bound: {
    sentence: 'A logout arrived and found nobody: no login was bound by the logout object that heard it',
    remedy: `Call logout.bind(req, claims) at each login (logout.signOn(claims) where sessions are cookies). If another createBackchannelLogout() binds them, make one, in a module that the login and the receiver import. If another process does, give both ${SHARED_STORE}: memoryStore() is known to its own process only, and forgotten when that ends. What was signed in before this package was installed is not bound either: docs/moving-in.md has what to do about that`,
    anchor: 'found-is-0',
  },
  login_refused: {
    sentence: 'A logout arrived and found nobody: bind was called in this process, and rejected each login',
    remedy: 'Await bind in the callback, and look at what it rejects with',
    anchor: 'sign-in-fails',
  },
  sessions_unbound: {
    sentence:
      'A logout found nobody, and there are sessions with a user that no login has bound: no logout finds these',
    remedy:
      'They are of a login that does not call logout.bind(req, claims), or were made before this package was installed: docs/moving-in.md has what to do about the second. If they are of another kind of login, say so by expressSessions(store, { mustBeBound })',
    anchor: 'sessions-from-before',
  },
  login_without_sid: {
    sentence:
      'A logout names a session of the provider (sid), and logins were bound without a sid: which of them it means, nobody can tell',
    remedy:
      'Give bind the claims of the ID Token, and register backchannel_logout_session_required at the provider so that they have a sid; where the provider puts it into no ID Token, set the provider option ignoreSid',
    anchor: 'found-is-0',
  },
  issuer_differs: {
    sentence: 'A logout found nobody, and logins were bound under an issuer that is written differently',
    remedy:
      'Let the function given as option provider know the issuer in one spelling, as the metadata of the provider have it, letter by letter',
    anchor: 'found-is-0',
  },
  nobody_found: {
    sentence: 'Three logouts arrived and none found a session, although logins were bound in this process',
    remedy: `Compare the sub and sid of an ID Token with those of a Logout Token; with several processes, give all of them ${SHARED_STORE}. Where users sign out here before the provider says so, this is as it should be`,
    anchor: 'found-is-0',
  },
  binding_unknown: {
    sentence:
      'A session says that its login was bound, and the logout store does not know of it: its user was signed out',
    remedy: `Two processes with memoryStore()? Give all processes that share the session store ${SHARED_STORE}. A restart with memoryStore() does the same to everybody, and lying idle for longer than sessionLifetimeSeconds to one`,
    anchor: 'random-sign-outs',
  },
  store_not_shared: {
    sentence: 'The session store outlives this process and may be shared, and the logout store is memoryStore()',
    remedy: `Give the option store ${SHARED_STORE}: memoryStore() is known to its own process only, and forgotten when that ends, and its users are signed out then`,
    anchor: 'random-sign-outs',
  },
  ended_unread: {
    sentence:
      'bind() said that the login had been ended by a logout, and nobody looked: the user was greeted and is not signed in',
    remedy: "Write const { ended } = await logout.bind(req, claims), and if (ended) return res.redirect('/login')",
    anchor: 'logged-out-during-login',
  },
  junk_flood: {
    sentence: 'The receiver refused very many requests within a minute',
    remedy:
      'Somebody sends what no provider sends: limit the requests to this path, or let only the addresses of the provider in',
    anchor: 'junk',
  },
  pass_on_unclear: {
    sentence:
      'passOn() of createLogoutBroker() gave neither true nor false: the logout was passed on, so that no session outlives it',
    remedy: 'Return true or false, and no promise: what has to be looked up is looked up before the sign-on ends',
    anchor: 'others-are-signed-out',
  },
  revalidation_no_token: {
    sentence:
      'There is nothing that the provider could be asked about a session with: it is served on, whatever becomes of it there',
    remedy:
      'Call begin() of createRevalidation() at each login, with what the question needs: byRefreshToken a refresh token (does the provider issue one, to this scope?), byIntrospection that or an access token, byUserInfo an access token and the sub. Call move() where the session id changes, give states that outlive the process and are shared by all, and call check() for sessions of this provider alone',
    anchor: 'a-session-is-not-asked-about',
  },
  revalidation_secret_unlisted: {
    sentence:
      'What a session is asked about with was sealed by a secret that is listed no more: it is served on, whatever becomes of it at the provider',
    remedy:
      'Name the old secret behind the new one in the option secret of createRevalidation(), until the sessions from before are over',
    anchor: 'a-session-is-not-asked-about',
  },
  revalidation_client_refused: {
    sentence:
      'The provider refuses this client, so that no session can be asked about: each is served on, whatever becomes of it there',
    remedy:
      'Compare clientId and clientSecret (or authenticate) of the question with what is registered at the provider, and whether this client may use the endpoint there: see cause',
    anchor: 'a-session-is-not-asked-about',
  },
  revalidation_unanswered: {
    sentence:
      'The provider has not said for long whether a session still stands: it is served on, whatever becomes of it there',
    remedy:
      'Is the endpoint of the question the one in the metadata of the provider, and does it answer this process? See cause. failClosedAfterSeconds bounds how long a session is served without an answer',
    anchor: 'a-session-is-not-asked-about',
  },
} as const satisfies Record<string, Words>

/** A mistake that can be told from what happens. */
export type Mistake = keyof typeof MISTAKES

/** Each of them, for the page that lists them. */
export const ALL_MISTAKES = Object.keys(MISTAKES) as readonly Mistake[]

/** The same in every warning: `ERR_CONFIGURATION` with its reason, remedy and page. `cause`: what showed it. */
export function mistakeError(reason: Mistake, cause?: unknown): LogoutError {
  const { sentence, remedy, anchor } = MISTAKES[reason]
  // Only our own words may be repeated: another error may name a session or a user.
  const seen = cause instanceof LogoutError ? `. The last one: ${cause.message}. ${cause.remedy ?? ''}` : ''
  return new LogoutError('ERR_CONFIGURATION', sentence, {
    reason,
    remedy: `${remedy}${seen}`.trim(),
    page: pageOf(anchor),
    cause,
  })
}

/** Tells of each mistake once. `cause`: what showed it. */
export function reportOnce(emit: EventListener): (mistake: Mistake, cause?: unknown) => void {
  const reported = new Set<Mistake>()
  return (mistake, cause) => {
    if (reported.has(mistake)) return
    reported.add(mistake)
    emit({ type: 'warning', error: mistakeError(mistake, cause) })
  }
}

/** The code that is printed, in logs to be searched for and in `--disable-warning`. */
export function warningCode({ reason, code }: LogoutError): string {
  return `BCL_${(reason ?? code.replace(/^ERR_/, '')).toUpperCase()}`
}
