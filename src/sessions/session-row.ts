// What this package reads from and writes into a row of an express-session store. Knows neither store nor receiver.
import { isJsonObject } from '../json-object.js'
import { isText } from '../option-checks.js'
import type { SessionLimits, SignOnNames } from './session-backend.js'

/** A session's data as express-session hands it to its store: of it, only the cookie matters here. */
export interface StoredSession {
  readonly cookie?:
    | {
        readonly expires?: Date | string | boolean | null | undefined
        readonly originalMaxAge?: number | null | undefined
        readonly maxAge?: number | null | undefined
      }
    | undefined
}

/**
 * Says in the row itself that its session hangs on a sign-on. A row that says so while the logout store knows of no
 * binding (it expired, was evicted, or the store was restarted) is one that no logout could find: it is not believed.
 */
const STAMP = 'oidcBackchannelLogout'

export function stamp(session: object, names?: SignOnNames): void {
  // What names nobody takes no name away: an application may have copied the row's data to the next id.
  if (names !== undefined || !isStamped(session)) Reflect.set(session, STAMP, names ?? 'bound')
}

/** Whose sign-on the row says that it is. */
export function namesIn(row: object): SignOnNames | undefined {
  const value: unknown = Reflect.get(row, STAMP)
  if (!isJsonObject(value)) return undefined
  const { issuer, clientId, sub, sid } = value
  if (!isText(issuer) || !isText(clientId) || !isText(sub)) return undefined
  return { issuer, clientId, sub, ...(isText(sid) && { sid }) }
}

/** The session is nobody's sign-on any more, also where its data go along to the next id. */
export function unstamp(session: object): void {
  Reflect.deleteProperty(session, STAMP)
}

export function isStamped(session: object): boolean {
  return Reflect.has(session, STAMP)
}

/** Where applications and the libraries of the field keep who is signed in. */
const USER_MEMBERS = [
  'user',
  'userId',
  'user_id',
  'userinfo',
  'userInfo',
  'account',
  'claims',
  'idToken',
  'id_token',
  'tokens',
  'tokenSet',
  'token_set',
  'tokenset',
  'oidc',
  'auth',
  'grant',
]

/** A guess, for warnings alone: nobody is let in or kept out by it. */
export function looksSignedIn(session: object): boolean {
  const passport: unknown = Reflect.get(session, 'passport')
  if (typeof passport === 'object' && passport !== null && Reflect.get(passport, 'user') !== undefined) return true
  return USER_MEMBERS.some((name) => Boolean(Reflect.get(session, name)))
}

/**
 * Lets cookie and row end when their session does: express-session makes the end of both of `originalMaxAge` at each
 * request, so that is what may be no longer than what is left, nor than the session may go unused. Returns whether
 * anything was changed.
 */
export function capCookie({ cookie }: StoredSession, { secondsLeft, idleSeconds }: SessionLimits): boolean {
  if (cookie === undefined) return false
  const lifetime = cookie.originalMaxAge ?? cookie.maxAge ?? undefined
  // One that ends with the browser stays so, unless disuse is to end it: then only a lifetime does.
  if (lifetime === undefined && idleSeconds === undefined) return false
  const left = secondsLeft === undefined ? undefined : Math.max(0, Math.floor(secondsLeft * 1000))
  const idle = idleSeconds === undefined ? undefined : idleSeconds * 1000
  const capped = Math.min(...[lifetime, left, idle].filter((each) => each !== undefined))
  if (capped === lifetime) return false
  // In this order: in the cookie of a request, to set the first sets the second.
  Reflect.set(cookie, 'expires', new Date(Date.now() + capped))
  Reflect.set(cookie, 'originalMaxAge', capped)
  return true
}

/**
 * The same for as long as a request goes on: an application that gives the cookie another lifetime meanwhile ("remember
 * me", at each request) gives it no longer one. express-session makes both ends of `originalMaxAge` once more, last of
 * all.
 */
export function keepCookieCapped(session: StoredSession, limits: SessionLimits): void {
  const { secondsLeft, idleSeconds } = limits
  const { cookie } = session
  if (cookie === undefined || (secondsLeft === undefined && idleSeconds === undefined)) return
  capCookie(session, limits)
  const endsAt = secondsLeft === undefined ? Number.POSITIVE_INFINITY : Date.now() + Math.floor(secondsLeft * 1000)
  const idle = idleSeconds === undefined ? Number.POSITIVE_INFINITY : idleSeconds * 1000
  let lifetime = cookie.originalMaxAge
  Object.defineProperty(cookie, 'originalMaxAge', {
    configurable: true,
    enumerable: true,
    get: () => {
      if (typeof lifetime !== 'number' && idleSeconds === undefined) return lifetime
      return Math.min(lifetime ?? idle, idle, Math.max(0, endsAt - Date.now()))
    },
    set: (value: number | null | undefined) => {
      lifetime = value
    },
  })
}

/** Until when the store may keep the row (epoch seconds), reading what a touch would make of it. */
export function rowExpiry(session: StoredSession): number | undefined {
  const { cookie } = session
  const lifetime = cookie?.originalMaxAge ?? cookie?.maxAge
  if (typeof lifetime === 'number' && Number.isFinite(lifetime)) return (Date.now() + lifetime) / 1000
  const { expires } = cookie ?? {}
  if (!(expires instanceof Date) && typeof expires !== 'string') return undefined
  const at = new Date(expires).getTime() / 1000
  return Number.isFinite(at) ? at : undefined
}
