// The one error family for everything met at run time. Misuse is a TypeError, thrown when the app boots.
import { adviceOn } from './advice.js'

/**
 * What kind of thing went wrong; stable, meant for `switch`.
 *
 * - `ERR_REQUEST`: not the HTTP request of BCL 2.5.
 * - `ERR_TOKEN`: the Logout Token was refused (BCL 2.6); `reason`, and where it applies `claim` and `option`, say by
 *   which rule.
 * - `ERR_REPLAY`: the logout of this `jti` was completed before.
 * - `ERR_KEYS_UNAVAILABLE`: the provider's metadata or keys could not be fetched.
 * - `ERR_STORE`: the logout store failed, or did not answer in time.
 * - `ERR_SESSIONS`: a session could not be destroyed; it stays marked, denied and bound, and is tried again.
 * - `ERR_EVICT`: cached claims could not be evicted.
 * - `ERR_HOOK`: a function of the application threw, rejected or hung; `option` names it.
 * - `ERR_DEADLINE`: the answer was due before the work was done; the work goes on.
 * - `ERR_ID_TOKEN`: the claims given to `bind` are not those of a configured provider's ID Token.
 * - `ERR_NO_VERDICT`: whether a session or a token lives could not be found out; answered 503, the session is kept.
 * - `ERR_DELIVERY`: a Logout Token of this process's own did not end its logout at an RP; `reason` says why.
 * - `ERR_REVOCATION`: a token was not revoked at its provider (RFC 7009); the logout stands, and `reason` says why.
 * - `ERR_SAML`: a SAML message was refused, or could not be answered; `reason` says why.
 * - `ERR_CONFIGURATION`: the application is set up in a way that leaves users signed in; `reason` says how, `remedy`
 *   what to do.
 * - `ERR_UNEXPECTED`: a failure that nobody foresaw, in this package or below it; `cause` has it.
 */
export type ErrorCode =
  | 'ERR_REQUEST'
  | 'ERR_TOKEN'
  | 'ERR_REPLAY'
  | 'ERR_KEYS_UNAVAILABLE'
  | 'ERR_STORE'
  | 'ERR_SESSIONS'
  | 'ERR_EVICT'
  | 'ERR_HOOK'
  | 'ERR_DEADLINE'
  | 'ERR_ID_TOKEN'
  | 'ERR_NO_VERDICT'
  | 'ERR_DELIVERY'
  | 'ERR_REVOCATION'
  | 'ERR_SAML'
  | 'ERR_CONFIGURATION'
  | 'ERR_UNEXPECTED'

/** What a `LogoutError` says beside its code and its sentence. */
export interface ErrorDetails {
  /** Which rule: a stable word of the code's own list, e.g. `exp_missing`. */
  readonly reason?: string | undefined
  /** The claim or header parameter the rule is about. */
  readonly claim?: string | undefined
  /** The option that would accept this, or that names the function that failed. */
  readonly option?: string | undefined
  /**
   * What to do about it. May hold words of the configuration, never of a token. Default: what is known of this code and
   * reason.
   */
  readonly remedy?: string | undefined
  /** Where to read on. Default: what is known of this code and reason. */
  readonly page?: string | undefined
  readonly cause?: unknown
}

/** A `LogoutError` as `JSON.stringify` and structured loggers show it: never with its cause. */
export interface LogoutErrorJson {
  readonly name: string
  readonly code: ErrorCode
  readonly message: string
  readonly reason?: string
  readonly claim?: string
  readonly option?: string
  readonly remedy?: string
  readonly page?: string
}

/**
 * A run-time failure. `message` is a fixed sentence: it never holds a token, a claim value, a session id or a store's
 * own words; those are in `cause`, which is for your debugger and never for a response.
 */
export class LogoutError extends Error {
  override readonly name = 'LogoutError'
  readonly code: ErrorCode
  readonly reason: string | undefined
  readonly claim: string | undefined
  readonly option: string | undefined
  /** What to do about it, where that is known. */
  readonly remedy: string | undefined
  /** Where to read on, such as `docs/troubleshooting.md#found-is-0`: a page of this package's documentation. */
  readonly page: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    const store = ofStore(details.cause)
    this.reason = details.reason ?? (code === 'ERR_STORE' ? store?.reason : undefined)
    this.claim = details.claim
    this.option = details.option
    const advice = adviceOn(code, this.reason)
    this.remedy = details.remedy ?? advice.remedy ?? store?.remedy
    this.page = details.page ?? advice.page ?? store?.page
  }

  /** Without `cause`: it holds a driver's or the network's own words, which may be secret. */
  toJSON(): LogoutErrorJson {
    const { name, code, message, reason, claim, option, remedy, page } = this
    return {
      name,
      code,
      message,
      ...(reason !== undefined && { reason }),
      ...(claim !== undefined && { claim }),
      ...(option !== undefined && { option }),
      ...(remedy !== undefined && { remedy }),
      ...(page !== undefined && { page }),
    }
  }
}

/** A logout store that says why it refuses is heard through whatever could not be done for it. */
function ofStore(cause: unknown): LogoutError | undefined {
  return cause instanceof LogoutError && cause.code === 'ERR_STORE' ? cause : undefined
}

/**
 * No verdict on a session or an access token, so it is neither let in nor refused. The error handlers of Express, of
 * connect and of Hono answer it 503 with `Retry-After` by themselves, and `getResponse()` is that answer for your own.
 */
export class NoVerdictError extends LogoutError {
  readonly status = 503
  readonly statusCode = 503
  readonly headers = { 'Retry-After': '1', 'Cache-Control': 'no-store' }
  readonly expose = true

  /** `reason` says what could not be asked; for a session that is always the logout store. */
  constructor(
    cause: unknown,
    message = 'Whether this session was ended could not be found out',
    reason = 'store_failed',
  ) {
    super('ERR_NO_VERDICT', message, { cause, reason })
  }

  /**
   * A fresh Web `Response`, for Hono (which asks for it by this name), Next.js and their like: 503, empty, `no-store`.
   */
  getResponse(): Response {
    return new Response(null, { status: this.status, headers: this.headers })
  }
}
