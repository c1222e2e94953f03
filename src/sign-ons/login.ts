// From the claims of an ID Token to the sign-on they stand for. The token itself was validated by the app's client
// library.
import { LogoutError } from '../errors.js'
import { type Client, tokenKey } from '../marks/target.js'
import { assertOptions, isText, type OptionNames } from '../option-checks.js'
import type { ProviderDirectory } from '../providers/directory.js'
import { isOidc } from '../providers/known-target.js'
import { clientIdRemedy, issuerRemedy } from '../providers/remedies.js'
import type { SignOnLimits } from '../stores/logout-store.js'
import { isUsableId, MAX_SID_LENGTH, MAX_SUB_LENGTH } from '../tokens/logout-token-claims.js'
import { limitsOfLogin } from './session-limits.js'

/** What the ID Token of a login says of the sign-on. */
export interface Login extends SignOnLimits {
  readonly client: Client
  readonly sub: string
  readonly sid?: string | undefined
  /** `iat` of the ID Token; absent counts as older than any logout. */
  readonly issuedAt?: number | undefined
  /** When the user was sent to the OP, by this RP's clock. */
  readonly startedAt?: number | undefined
  readonly tokenKeys: readonly string[]
  /** `auth_time` of the ID Token, where it has one that is a number. */
  readonly authTime?: number | undefined
  readonly label?: string | undefined
}

/** What the application knows of a login beside its ID Token. */
export interface AboutLogin extends LoginTokens {
  /**
   * When the user was sent to the OP: epoch seconds of this RP's clock, e.g. `Date.now() / 1000`, kept with `state` and
   * `nonce`. A login that was begun after a logout lives, whatever the dates of its tokens say. Where the login may
   * begin at one machine and end at another, their clocks must agree.
   */
  readonly startedAt?: number | undefined
  /**
   * When this login must be over whatever happens, in epoch seconds: SAML's `SessionNotOnOrAfter`, the end of a
   * contract. The claim `session_expiry` of the ID Token (IPSIE SL1) and the provider's `sessionMaxAgeSeconds` count as
   * well; the earliest holds, through every refresh and every change of the session id.
   */
  readonly sessionExpiresAt?: number | undefined
  /**
   * A few words by which the user knows this session again in a list, e.g. `Firefox on Linux`. At most 200 characters.
   */
  readonly label?: string | undefined
}

/** Tokens that live and die with the session; only their hashes are kept. */
export interface LoginTokens {
  readonly accessToken?: string | undefined
}

const ABOUT: OptionNames<AboutLogin> = { startedAt: true, sessionExpiresAt: true, label: true, accessToken: true }

/** @throws TypeError for another name: a token under it would outlive the session */
export function assertLoginTokens(tokens: LoginTokens): void {
  assertOptions('addTokens()', tokens, { accessToken: true } satisfies OptionNames<LoginTokens>)
}

/**
 * `onWarning` hears of a login that cannot be dated. One without a `sid` does not stand where the provider's Logout
 * Tokens are said to name a `sid`: none of them would find it.
 *
 * @throws LogoutError `ERR_ID_TOKEN`, with the claim; TypeError for what `about` cannot mean
 */
export async function loginOf(
  claims: Readonly<Record<string, unknown>> | undefined,
  about: AboutLogin | undefined,
  directory: ProviderDirectory,
  clock: () => number,
  onWarning: (error: LogoutError) => void,
): Promise<Login> {
  if (about !== undefined) assertOptions('bind()', about, ABOUT)
  assertClaims(claims)
  const { iss, aud, sub, sid, iat } = claims
  if (typeof iss !== 'string') throw notAnIdToken('iss_missing', 'iss')
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  const candidates = await directory.forIssuer(iss)
  if (candidates.length === 0) {
    const clients = directory.configured().map(({ client }) => client)
    throw notAnIdToken('iss_unknown', 'iss', issuerRemedy(iss, clients))
  }
  const addressed = candidates.filter(({ client }) => audiences.includes(client.clientId))
  const [provider, another] =
    addressed.length > 1 ? addressed.filter(({ client }) => client.clientId === claims.azp) : addressed
  if (provider === undefined || another !== undefined) {
    throw notAnIdToken('aud_unknown', 'aud', clientIdRemedy(candidates.map(({ client }) => client)))
  }
  if (Object.hasOwn(claims, 'events')) throw notAnIdToken('logout_token', 'events')
  if (!isText(sub)) throw notAnIdToken('sub_missing', 'sub')
  if (sid !== undefined && sid !== null && !isText(sid)) {
    throw notAnIdToken('sid_invalid', 'sid')
  }
  // Whoever is signed in by what no Logout Token may name, no logout finds.
  if (isOidc(provider)) {
    if (!isUsableId(sub, MAX_SUB_LENGTH)) throw notAnIdToken('sub_invalid', 'sub')
    if (isText(sid) && !isUsableId(sid, MAX_SID_LENGTH)) throw notAnIdToken('sid_invalid', 'sid')
  }
  if (provider.backchannelLogoutSessionRequired && typeof sid !== 'string') throw notAnIdToken('sid_missing', 'sid')
  // Milliseconds, or a clock far ahead: such a login would be newer than every logout.
  const canBeTrue = typeof iat === 'number' && iat <= clock() + provider.clockToleranceSeconds
  if (!canBeTrue) onWarning(notAnIdToken(typeof iat === 'number' ? 'iat_untrue' : 'iat_missing', 'iat'))
  return {
    client: provider.client,
    sub,
    sid: sid ?? undefined,
    issuedAt: canBeTrue ? iat : undefined,
    startedAt: startOf(about),
    tokenKeys: about?.accessToken === undefined ? [] : [tokenKey(about.accessToken)],
    ...limitsOfLogin(claims.session_expiry, about?.sessionExpiresAt, provider, clock()),
    authTime: Number.isFinite(claims.auth_time) ? Number(claims.auth_time) : undefined,
    label: labelOf(about),
  }
}

/** Says what was given in their place: each of these is one word short of them. */
function assertClaims(given: unknown): asserts given is Readonly<Record<string, unknown>> {
  if (typeof given === 'string') throw notAnIdToken('claims_encoded', undefined)
  if (typeof given === 'function') throw notAnIdToken('claims_uncalled', undefined)
  if (typeof given !== 'object' || given === null) throw notAnIdToken('claims_missing', undefined)
  if ('id_token' in given && !('iss' in given)) throw notAnIdToken('token_response', undefined)
}

/**
 * A login whose ID Token names no `sid`, at a provider whose metadata say that its Logout Tokens can: those with a
 * `sid` and no `sub` will not find it.
 */
export function sidExpected(): LogoutError {
  return notAnIdToken('sid_expected', 'sid')
}

function startOf(about: AboutLogin | undefined): number | undefined {
  const startedAt = about?.startedAt
  if (startedAt === undefined || (Number.isFinite(startedAt) && startedAt > 0 && startedAt < LATEST_SECONDS)) {
    return startedAt
  }
  throw new TypeError('startedAt must be epoch seconds, e.g. Date.now() / 1000 when the user was sent to the provider')
}

function labelOf(about: AboutLogin | undefined): string | undefined {
  const label: unknown = about?.label
  if (label === undefined || (typeof label === 'string' && label.length <= LONGEST_LABEL)) return label
  throw new TypeError(`label must be a text of at most ${LONGEST_LABEL} characters, e.g. "Firefox on Linux"`)
}

const LONGEST_LABEL = 200

/** Beyond it, somebody means milliseconds. */
const LATEST_SECONDS = 1e11

const SENTENCES = {
  claims_missing: 'There are no ID Token claims: was the scope openid requested, and the ID Token validated?',
  claims_encoded: 'This is a token as it was issued, not the claims of the validated ID Token',
  claims_uncalled: 'This is a function, not the claims of an ID Token',
  token_response: 'These are the tokens of a login, not the claims of its ID Token',
  iss_missing: 'These are not the claims of an ID Token: they name no issuer',
  iss_unknown: 'The ID Token is of an issuer that is not configured as a provider',
  aud_unknown:
    'The ID Token is for a client id that is not configured for its issuer, or for several and its azp says for none',
  logout_token: 'These are the claims of a Logout Token or another security event, not of an ID Token',
  iat_missing: 'The ID Token has no iat, so this login counts as older than any logout of its user',
  iat_untrue:
    'The iat of the ID Token is not a time that can be true, in seconds, so this login counts as older than any logout',
  sub_missing: 'These are not the claims of an ID Token: they name no subject',
  sid_missing:
    'The ID Token has no sid, and the Logout Tokens of its provider name nothing else: ' +
    'register backchannel_logout_session_required there',
  sid_expected:
    'The ID Token has no sid, and the metadata of its provider say that Logout Tokens can name one: ' +
    'a Logout Token that names nothing else will not find this login',
  sid_invalid: 'The sid of the ID Token must be a string of at most 1,024 characters, without control characters',
  sub_invalid: 'The sub of the ID Token must be a string of at most 255 characters, without control characters',
} as const

function notAnIdToken(reason: keyof typeof SENTENCES, claim: string | undefined, remedy?: string): LogoutError {
  return new LogoutError('ERR_ID_TOKEN', SENTENCES[reason], { reason, ...(claim && { claim }), remedy })
}
