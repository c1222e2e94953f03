// The API's end of a relay: believes signed notices, keeps their marks in this process, and answers about tokens only
// while it knows that it was told everything. Knows no token.

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JWTVerifyGetKey } from 'jose'
import { isToCome, type Moment, momentsBy, monotonicSeconds } from '../deadline.js'
import { NoVerdictError } from '../errors.js'
import { ExpiringMap } from '../expiring-map.js'
import { readNodeBody } from '../http/bounded-body.js'
import { handlerGiver, nodeEntry } from '../http/node.js'
import { MarksByKey } from '../marks/marks-by-key.js'
import { sha256 } from '../marks/target.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import type { FoundMarks, LogoutStore } from '../stores/logout-store.js'
import { memoryStore } from '../stores/memory-store.js'
import type { MarksStore } from './claims-cache.js'
import {
  MARKS_HEADER,
  MOST_MARKS,
  NOTICE_LIMIT_BYTES,
  NOTICE_TYP,
  NOTICE_TYPE,
  type Notice,
  noticeOf,
  type RelayedMark,
} from './relay-notice.js'
import { givenKeys, publishedKeys, verifiedJwt } from './verified-jwt.js'

/** Whom to believe, and for how long without a word. */
export interface RelayReceiverOptions {
  /** `issuer` of the Relying Party's relay. */
  readonly issuer: string
  /** What the relay calls this API: its `audience`, by default the address of this endpoint. */
  readonly audience: string
  /** Where the public keys of the Relying Party are. */
  readonly jwksUri?: string
  /** In place of `jwksUri`: any source of keys, as jose takes it, e.g. `createLocalJWKSet(jwks)`. */
  readonly keys?: JWTVerifyGetKey
  /** Default: ES256, EdDSA, RS256, PS256. */
  readonly algorithms?: readonly string[]
  /**
   * For how long after the Relying Party acknowledged a logout this process may still let its tokens in, if it cannot
   * be told: after that there is no verdict (503) until it has been told all. Far above the pause between the relay's
   * rounds. Seconds; default 5.
   */
  readonly boundSeconds?: number
  /** Epoch seconds. A suspended machine stops the monotonic clock, but not this one: the larger difference counts. */
  readonly clock?: () => number
  /** Seconds of a clock that never goes back. Default `performance.now()`. */
  readonly monotonic?: () => number
}

/** The API's end of a relay. */
export interface RelayReceiver {
  /** The endpoint for notices (RFC 8935), for Node's http and Express. Before body parsers. */
  readonly receiver: (...none: never[]) => (req: IncomingMessage, res: ServerResponse) => void
  /**
   * What `createClaims` and `createJwtCheck` take as `store`: rejects while this process may not know of every logout.
   */
  readonly store: MarksStore
}

const DEFAULT_BOUND_SECONDS = 5
const KEYS_TIMEOUT_SECONDS = 5
/**
 * How old the nonce in a notice may be: a round of a relay that waits a minute for its store, and many more for this
 * process. A notice is dated by its arrival, so none may be kept and sent again later, to end what has begun since.
 */
const NONCE_SECONDS = 300
const ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256']
const BODY_BOUNDS = { bodyLimitBytes: NOTICE_LIMIT_BYTES, bodyDeadlineSeconds: 5 }

const NAMES: OptionNames<RelayReceiverOptions> = {
  issuer: true,
  audience: true,
  jwksUri: true,
  keys: true,
  algorithms: true,
  boundSeconds: true,
  clock: true,
  monotonic: true,
}

/**
 * By how much the wall clock may leave the monotonic one before it counts as set, or the machine as suspended. Clocks
 * that run apart need days for it.
 */
const SET_SECONDS = 10

/** What this process was told while its clocks went on side by side. */
interface Told {
  /** A process that has forgotten what it was told says so by another name. */
  readonly instance: string
  readonly began: Moment
  readonly clock: () => number
  readonly marks: LogoutStore
  allBefore?: Moment
}

/**
 * Makes the API's end of a relay.
 *
 * **The bound.** Each answer to the relay carries a nonce: the moment it was given. The relay reads its log only after
 * that, and says that it is complete, naming that nonce, only when every mark of the log was taken here. So all that
 * was acknowledged before the nonce was given is known; for `boundSeconds` from then this process answers. No clocks of
 * two machines are compared. A notice of marks names a nonce as well: sent again, or minutes late, it changes nothing.
 *
 * **The clocks.** Marks end and are dated by a clock that begins with the wall clock and goes on with the monotonic
 * one. Where those two have parted, nobody knows which dates are true: this process forgets what it was told, as if it
 * had been restarted, and is told everything again before it answers.
 *
 * @throws TypeError where the options cannot work
 */
export function createRelayReceiver(options: RelayReceiverOptions): RelayReceiver {
  assertUsable(options)
  const {
    issuer,
    audience,
    algorithms = ALGORITHMS,
    boundSeconds = DEFAULT_BOUND_SECONDS,
    clock = () => Date.now() / 1000,
    monotonic = monotonicSeconds,
  } = options
  const keys =
    options.keys === undefined
      ? publishedKeys({
          issuer,
          jwksUri: options.jwksUri ?? '',
          timeoutSeconds: KEYS_TIMEOUT_SECONDS,
          clock,
          monotonic,
        })
      : givenKeys(options.keys)
  const moment = momentsBy(clock, monotonic)
  const steadyFrom = (began: Moment) => () => began.wall + monotonic() - began.monotonic
  const begun = (began: Moment): Told => {
    const steady = steadyFrom(began)
    return { instance: randomUUID(), began, clock: steady, marks: memoryStore({ clock: steady }) }
  }
  let latest = begun(moment())
  const told = (): Told => {
    const now = moment()
    const { began } = latest
    const parted = now.wall - began.wall - (now.monotonic - began.monotonic)
    if (Math.abs(parted) > SET_SECONDS) latest = begun(now)
    return latest
  }
  /** What was ended in this process: no relay would tell it again. */
  const endedHere = new MarksByKey()
  const steady = steadyFrom(moment())

  const nonce = () => {
    const { instance } = told()
    const { monotonic: at, wall } = moment()
    return `${instance}.${at}_${wall}`
  }
  const momentOf = (text: string | undefined, { instance }: Told): Moment | undefined => {
    const [name, at = ''] = text?.split(/\.(.*)/s) ?? []
    const [monotonicText, wallText] = at.split('_')
    const named = { monotonic: Number(monotonicText), wall: Number(wallText) }
    return name === instance && named.monotonic <= monotonic() && Number.isFinite(named.wall) ? named : undefined
  }
  const ageOf = (before: Moment): number => {
    const now = moment()
    return Math.max(now.monotonic - before.monotonic, now.wall - before.wall)
  }
  /** Notices that were taken, for as long as they could come again. */
  const taken = new ExpiringMap<{ readonly expiresAt: number }>()
  const takeEnded = async ({ marks: ended, nonce: given }: Notice & { says: 'ended' }, id: string) => {
    // One store for all of them: of another one that begins meanwhile the relay learns by the answer.
    const known = told()
    if (given !== undefined) {
      const named = momentOf(given, known)
      // Of a process that is no more. The relay learns of this one by the answer, and tells it everything.
      if (named === undefined) return true
      if (ageOf(named) > NONCE_SECONDS) return false
      if (taken.get(id, monotonic()) !== undefined) return true
    }
    for (const mark of ended) await known.marks.begin(orderOf(mark, known.clock()))
    if (given !== undefined) taken.set(id, { expiresAt: monotonic() + NONCE_SECONDS }, monotonic())
    return true
  }
  /** Whether it is confirmed. */
  const take = async (notice: Notice, id: string): Promise<boolean> => {
    if (notice.says === 'ended') return takeEnded(notice, id)
    const known = told()
    const named = momentOf(notice.nonce, known)
    if (named !== undefined && named.monotonic > (known.allBefore?.monotonic ?? Number.NEGATIVE_INFINITY))
      known.allBefore = named
    return true
  }
  const mayAnswer = ({ allBefore }: Told): boolean => allBefore !== undefined && ageOf(allBefore) <= boundSeconds
  const rules = { issuer, audience, algorithms: [...algorithms], typ: NOTICE_TYP, requiredClaims: ['iat', 'jti'] }
  const answerTo = async (req: IncomingMessage): Promise<number> => {
    if (req.method !== 'POST') return 405
    if (req.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() !== NOTICE_TYPE) return 400
    const verified = await verifiedJwt(await readNodeBody(req, BODY_BOUNDS), keys, rules)
    if (verified === undefined) return 400
    const notice = noticeOf(verified.payload)
    if (notice === undefined) return 400
    // One that is too old gets no nonce: its relay asks for one, and says it again.
    return (await take(notice, sha256(String(verified.payload.jti)))) ? 202 : 400
  }

  const receiver = nodeEntry('relay.receiver()', async (req: IncomingMessage, res) => {
    // Nothing of a notice that is not believed is said, and no nonce is given for it.
    const status = await answerTo(req).catch((error: unknown) => (error instanceof NoVerdictError ? 503 : 400))
    send(res, status, status === 202 ? nonce() : undefined)
  })

  return {
    receiver: handlerGiver(receiver, 'relay.receiver()'),
    store: {
      begin(order) {
        const { target, issuedAt, seenSecondsAgo, marksExpireAt } = order
        const [now, lasts] = [steady(), marksExpireAt - clock()]
        endedHere.add({ ...target, issuedAt, seenAt: now - seenSecondsAgo, expiresAt: now + lasts }, now)
        const { marks, clock: storeClock } = told()
        return marks.begin({ ...order, marksExpireAt: storeClock() + lasts })
      },
      marks(tokenKeys) {
        const known = told()
        if (!mayAnswer(known)) {
          throw new Error('The relay has not said for too long that this process knows of every logout')
        }
        const found = known.marks.marks(tokenKeys)
        const here = endedHere.size === 0 ? [] : endedHere.underAll(tokenKeys, steady())
        if (here.length === 0) return found
        const both = ({ now, marks }: FoundMarks): FoundMarks => ({ now, marks: [...marks, ...here] })
        return isToCome(found) ? found.then(both) : both(found)
      },
    },
  }
}

function orderOf({ target, issuedAt, seenSecondsAgo, lastsSeconds }: RelayedMark, now: number) {
  return {
    target,
    issuedAt,
    seenSecondsAgo,
    marksExpireAt: now + lastsSeconds,
    toleranceSeconds: 60,
    mayDestroy: false,
  }
}

function send(res: ServerResponse, status: number, nonce: string | undefined): void {
  if (res.headersSent || res.destroyed) return
  // RFC 8935 2.4: what failed is said in JSON.
  const body =
    status === 400 ? JSON.stringify({ err: 'invalid_request', description: 'Not a notice for this API' }) : ''
  res.writeHead(status, {
    'Cache-Control': 'no-store',
    'Content-Length': String(Buffer.byteLength(body)),
    ...(status === 400 && { 'Content-Type': 'application/json', Connection: 'close' }),
    ...(status === 405 && { Allow: 'POST' }),
    ...(nonce !== undefined && { 'Relay-Nonce': nonce, [MARKS_HEADER]: String(MOST_MARKS) }),
  })
  res.end(body)
}

function assertUsable(options: RelayReceiverOptions): void {
  assertOptions('createRelayReceiver()', options, NAMES)
  const { issuer, audience, jwksUri, keys, algorithms, boundSeconds } = options
  if (!isText(issuer)) throw new TypeError('issuer must be that of the relay')
  if (!isText(audience)) {
    throw new TypeError(
      'audience must be what the relay calls this API: the address of this endpoint, unless it says otherwise',
    )
  }
  if ((jwksUri === undefined) === (keys === undefined)) {
    throw new TypeError('createRelayReceiver() needs either jwksUri or keys, the public keys of the Relying Party')
  }
  if (jwksUri !== undefined && !(URL.canParse(jwksUri) && new URL(jwksUri).protocol === 'https:')) {
    throw new TypeError('jwksUri must be an https URL; for a test give keys: createLocalJWKSet(jwks)')
  }
  if (algorithms !== undefined && (algorithms.length === 0 || algorithms.some((each) => /^HS|^none$/i.test(each)))) {
    throw new TypeError('algorithms must be asymmetric JWS algorithms such as ES256')
  }
  assertNumberIfGiven('boundSeconds', boundSeconds, { above: 0, most: 86_400 })
}
