// OpenID Connect Front-Channel Logout 1.0: a GET from a frame of the OP, believed for nothing but a `sid` that is bound
// here. Cookies do not matter to it, so browsers that block them do not either.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { nodeEntry } from '../http/node.js'
import { queryOf } from '../http/query.js'
import type { LogoutResult } from '../logout/logout-order.js'
import type { Client } from '../marks/target.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import { MAX_SID_LENGTH } from '../tokens/logout-token-claims.js'

/** Options of `frontchannelReceiver`. The defaults are the letter of Front-Channel Logout 1.0. */
export interface FrontchannelReceiverOptions {
  /**
   * Whose registered path this is. Then a request may leave `iss` out, as Entra ID does; one with another `iss` is
   * refused. Without it, `iss` is required.
   */
  readonly issuer?: string | undefined
  /** Who may frame the answer, beside the issuer's origin. */
  readonly frameAncestors?: readonly string[] | undefined
  /**
   * Whether sessions may be records in cookies (`signOn`, `guard`). These are bound nowhere: then a request leaves a
   * mark though no session of its `sid` is known here. Without them it leaves nothing. Default: whether the receiver
   * has no option `sessions`.
   */
  readonly statelessSessions?: boolean | undefined
  /**
   * Requests that end nobody, each second; more are refused for a moment, since anybody can send them. What is bound
   * here is ended all the same; where sessions are records in cookies, nobody can tell, and a flood suppresses logouts.
   * Default 10.
   */
  readonly emptyRequestsPerSecond?: number | undefined
}

export interface FrontchannelPorts {
  /** Whether no client of this issuer can ever be found, which is known where the providers are a list. */
  readonly isUnknown: (issuer: string) => boolean
  /** The clients of an issuer that is configured. */
  readonly clients: (issuer: string) => Promise<readonly Client[]>
  readonly end: (target: Client & { readonly sid: string }) => Promise<Pick<LogoutResult, 'complete' | 'found'>>
  /** Whether a session of this `sid` may be there. Rejects where that cannot be found out. */
  readonly isBound: (target: Client & { readonly sid: string }) => Promise<boolean>
  /** Elapsed seconds, by a clock that does not jump. */
  readonly monotonic: () => number
}

/**
 * For Express and Node's http, mounted before session and login middleware. Throws nothing but a `TypeError`, where it
 * is called with what is no request and response of Node's.
 */
export type FrontchannelHandler = (req: IncomingMessage, res: ServerResponse) => void

const DEFAULT_EMPTY_REQUESTS_PER_SECOND = 10

/**
 * The handler for the `frontchannel_logout_uri` (3). Answers 200, empty, whether or not a session was found, so that
 * nobody can ask which `sid` is signed in here; 400 for what is no such request, 429 in a flood, 503 if the logout is
 * not complete: it is completed in the background. Never by `sub`, which the request does not have.
 *
 * @throws TypeError for an unknown or unusable option; the message names it and the remedy
 */
export function frontchannelReceiver(
  options: FrontchannelReceiverOptions,
  { isUnknown, clients, end, isBound, monotonic }: FrontchannelPorts,
): FrontchannelHandler {
  assertUsable(options, isUnknown)
  const {
    issuer: ownIssuer,
    frameAncestors = [],
    statelessSessions = false,
    emptyRequestsPerSecond = DEFAULT_EMPTY_REQUESTS_PER_SECOND,
  } = options
  const allowance = new Allowance(emptyRequestsPerSecond, monotonic)

  const statusOf = async (req: IncomingMessage, iss: string | undefined, sid: string | undefined): Promise<number> => {
    if (req.method !== 'GET') return 405
    if (iss === undefined || sid === undefined || sid === '' || sid.length > MAX_SID_LENGTH) return 400
    const known = ownIssuer === undefined || iss === ownIssuer ? await clients(iss) : []
    if (known.length === 0) return 400
    const targets = known.map(({ issuer, clientId }) => ({ issuer, clientId, sid }))
    // Anybody can send this, so it is believed for nothing but a session that is here. Looking is one read, as any
    // request makes that has a session cookie; and a stranger's flood must not keep the OP's own logouts away.
    const bound = statelessSessions ? [] : await Promise.all(targets.map(isBound))
    const here = statelessSessions ? targets : targets.filter((_, i) => bound[i])
    if ((statelessSessions || here.length === 0) && !allowance.take()) return 429
    const results = await Promise.all(here.map(end))
    if (statelessSessions && results.some(({ found }) => found > 0)) allowance.giveBack()
    return results.every(({ complete }) => complete) ? 200 : 503
  }

  return nodeEntry('logout.frontchannelReceiver()', async (req, res) => {
    const query = queryOf(req.url)
    const iss = one(query, 'iss') ?? (query.has('iss') ? undefined : ownIssuer)
    const sid = one(query, 'sid')
    const status = await statusOf(req, iss, sid).catch(() => 503)
    const ancestors = [iss, ...frameAncestors].flatMap((url) => (url && URL.canParse(url) ? [new URL(url).origin] : []))
    // A header that came before, of a middleware for the application's own pages, would forbid the frame.
    res.removeHeader('X-Frame-Options')
    res.writeHead(status, {
      'Cache-Control': 'no-store',
      'Content-Security-Policy': `default-src 'none'; frame-ancestors ${status === 200 ? ancestors.join(' ') : "'none'"}`,
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': '0',
      ...(status === 405 && { Allow: 'GET' }),
      ...((status === 429 || status === 503) && { 'Retry-After': '1' }),
    })
    res.end()
  })
}

const NAMES: OptionNames<FrontchannelReceiverOptions> = {
  issuer: true,
  frameAncestors: true,
  statelessSessions: true,
  emptyRequestsPerSecond: true,
}

function assertUsable(options: FrontchannelReceiverOptions, isUnknown: FrontchannelPorts['isUnknown']): void {
  assertOptions('frontchannelReceiver()', options, NAMES)
  const { issuer, frameAncestors, statelessSessions, emptyRequestsPerSecond } = options
  if (issuer !== undefined && (!isText(issuer) || isUnknown(issuer))) {
    throw new TypeError(
      'frontchannelReceiver(): issuer must be that of an OpenID Provider in provider, letter by letter',
    )
  }
  if (frameAncestors !== undefined && !(Array.isArray(frameAncestors) && frameAncestors.every(isWebUrl))) {
    throw new TypeError(
      "frontchannelReceiver(): frameAncestors must be a list of URLs with their scheme, e.g. ['https://portal.example.com']",
    )
  }
  if (statelessSessions !== undefined && typeof statelessSessions !== 'boolean') {
    throw new TypeError('frontchannelReceiver(): statelessSessions must be true or false')
  }
  assertNumberIfGiven('frontchannelReceiver(): emptyRequestsPerSecond', emptyRequestsPerSecond, { above: 0 })
}

function isWebUrl(value: unknown): boolean {
  return isText(value) && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
}

/** Exactly once, or not at all. */
function one(parameters: URLSearchParams, name: string): string | undefined {
  const [value, another] = parameters.getAll(name)
  return another === undefined ? value : undefined
}

/** So many in a second; what was not used is not saved up beyond that, or beyond the one that a slower rate allows. */
class Allowance {
  readonly #perSecond: number
  readonly #most: number
  readonly #monotonic: () => number
  #left: number
  #at: number

  constructor(perSecond: number, monotonic: () => number) {
    this.#perSecond = perSecond
    this.#monotonic = monotonic
    this.#most = Math.max(1, perSecond)
    this.#left = this.#most
    this.#at = monotonic()
  }

  take(): boolean {
    const now = this.#monotonic()
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perSecond)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }

  giveBack(): void {
    this.#left = Math.min(this.#most, this.#left + 1)
  }
}
