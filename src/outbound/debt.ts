// One refresh token that is owed to its provider, as the logout store keeps it. Knows no store, and opens no seal.
import { isJsonObject, jsonObjectIn } from '../json-object.js'
import { interimIdOf } from '../logout/interim-ids.js'
import type { EndingSessions } from '../logout/tokens-of-sessions.js'
import { type Client, sha256, subKey } from '../marks/target.js'
import type { DecidedPolicy, RefreshTokenPolicy } from '../providers/logout-policy.js'
import type { EndSessionRecord } from './end-session.js'

/** What a policy is asked about. */
export type Asked = Pick<EndingSessions, 'reason' | 'revokeOfflineAccess'>

/** By the store's clock, epoch seconds. */
interface DatesOfDebt {
  /** When it is to be revoked. */
  readonly dueAt: number
  /** Until then the store has it while it is owed. That it is not there later says nothing. */
  readonly keptUntil: number
}

/** What is sealed in the record stays so until the request is made. */
export interface Debt extends DatesOfDebt {
  readonly id: string
  readonly client: Client
  readonly record: EndSessionRecord
  /** Nobody could say what the provider's policy is: whether the token is to die is decided later, by this. */
  readonly undecided?: Asked | undefined
}

/**
 * Where the debts of a store are: no issuer is the empty text, so no logout names this. All in one place, since a
 * process that starts cannot know whose there are where its providers are looked up.
 */
export const DEBTS = subKey({ issuer: '', clientId: '' }, '')

/** The same token has the same id, so that a second pass of a logout owes it once. */
export function debtOf(record: EndSessionRecord, dates: DatesOfDebt, undecided: Asked | undefined): Debt {
  const { issuer, clientId, refreshToken } = record
  const id = interimIdOf(sha256(`revocation ${refreshToken}`))
  return { id, client: { issuer, clientId }, record, ...dates, ...(undecided !== undefined && { undecided }) }
}

export function textOf({ record, dueAt, keptUntil, undecided }: Debt): string {
  const { issuer, clientId, refreshToken, offlineAccess } = record
  return JSON.stringify({ issuer, clientId, refreshToken, offlineAccess, dueAt, keptUntil, undecided })
}

/** `undefined` for what is no text of a debt. */
export function debtIn(text: string | undefined): Debt | undefined {
  const value = jsonObjectIn(Buffer.from(text ?? ''))
  const record = recordOf(value)
  if (value === undefined || record === undefined) return undefined
  const { dueAt, keptUntil, undecided } = value
  return debtOf(record, { dueAt: numberOr0(dueAt), keptUntil: numberOr0(keptUntil) }, askedIn(undecided))
}

/** A row is JSON that anything may have happened to. */
export function recordOf(value: unknown): EndSessionRecord | undefined {
  if (!isJsonObject(value)) return undefined
  const { issuer, clientId, refreshToken, offlineAccess } = value
  if (typeof issuer !== 'string' || typeof clientId !== 'string' || typeof refreshToken !== 'string') return undefined
  return { issuer, clientId, refreshToken, ...(offlineAccess === true && { offlineAccess }) }
}

/** By the policy of the provider. */
export function wordOf(policy: DecidedPolicy | undefined, asked: Asked): RefreshTokenPolicy {
  const kind = KINDS.get(asked.reason) ?? 'terminate'
  return asWanted(policy?.[kind].refreshTokens ?? 'revoked-unless-offline', asked)
}

/** A Logout Token may ask for more than the policy, and nothing asks for what is `kept`. */
export function asWanted(
  word: RefreshTokenPolicy,
  { revokeOfflineAccess }: Pick<Asked, 'revokeOfflineAccess'>,
): RefreshTokenPolicy {
  return word === 'revoked-unless-offline' && revokeOfflineAccess ? 'revoked' : word
}

/** Whether the token of this record is to die by that word. */
export function isToDie(word: RefreshTokenPolicy, { offlineAccess }: EndSessionRecord): boolean {
  return word === 'revoked' || (word === 'revoked-unless-offline' && offlineAccess !== true)
}

const KINDS: ReadonlyMap<string, keyof DecidedPolicy> = new Map([
  ['logout-token', 'logoutToken'],
  ['front-channel', 'frontChannel'],
])

function askedIn(value: unknown): Asked | undefined {
  if (!isJsonObject(value)) return undefined
  const { reason, revokeOfflineAccess } = value
  return typeof reason === 'string' ? { reason, revokeOfflineAccess: revokeOfflineAccess === true } : undefined
}

function numberOr0(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
