// The checks that a Logout Token has to pass, in the order in which the receiver makes them, and how far one token
// came. Judges nothing: the receiver has, and says by which rule it refused.
import type { Exchange } from './deliveries.js'

export interface Check {
  readonly title: string
  /** Where it is written. BCL: OpenID Connect Back-Channel Logout 1.0. */
  readonly section: string
  /** What a receiver gives as its reason when this check fails: how it begins, up to its end or an underscore. */
  readonly reasons: readonly string[]
  /** Whether the receiver that was written by hand makes it. */
  readonly byHand: boolean
}

export const CHECKS: readonly Check[] = [
  {
    title: 'Signed at all, and well formed',
    section: 'BCL 2.6 step 3',
    reasons: [
      ...['token', 'header', 'payload', 'crit', 'alg_missing', 'alg_none', 'kid_invalid', 'unverifiable'],
      ...['encryption', 'decryption', 'zip', 'p2c', 'cty', 'nested'],
    ],
    byHand: true,
  },
  { title: 'By the provider we know', section: 'BCL 2.6 step 4', reasons: ['iss'], byHand: true },
  { title: 'With the algorithm we registered', section: 'BCL 2.6 step 3', reasons: ['alg'], byHand: false },
  { title: 'Of no other type, say an access token', section: 'BCL 2.4', reasons: ['typ'], byHand: false },
  {
    title: 'Signature by the provider’s own key',
    section: 'BCL 2.6 step 2',
    reasons: ['signature', 'key', 'kid', 'ERR_JWS'],
    byHand: true,
  },
  { title: 'Meant for this application', section: 'BCL 2.6 step 4', reasons: ['aud', 'azp'], byHand: true },
  { title: 'Issued just now', section: 'BCL 2.6 step 4', reasons: ['iat', 'too_old'], byHand: false },
  { title: 'Not expired', section: 'BCL 2.6 step 4', reasons: ['exp', 'nbf'], byHand: true },
  {
    title: 'Says who: a session or a user',
    section: 'BCL 2.6 step 5',
    reasons: ['sub', 'sid', 'target'],
    byHand: false,
  },
  { title: 'Says that this is a logout', section: 'BCL 2.6 step 6', reasons: ['events', 'event'], byHand: false },
  { title: 'Has no nonce: it is no ID Token', section: 'BCL 2.6 step 7', reasons: ['nonce'], byHand: false },
  { title: 'Was not used before', section: 'BCL 2.6 step 8', reasons: ['jti', 'ERR_REPLAY'], byHand: false },
  {
    title: 'The sessions have ended, before 200 is said',
    section: 'BCL 2.7, 2.8',
    reasons: ['ERR_STORE', 'ERR_SESSIONS', 'ERR_DEADLINE', 'store'],
    byHand: false,
  },
]

export interface Checked {
  readonly title: string
  readonly section: string
  /** `unseen`: nobody looked, since an earlier check had failed, or ever. */
  readonly state: 'passed' | 'failed' | 'unseen'
}

/** How far a token came. What a receiver does not check is `unseen`, whatever became of the token. */
export function checked({ because }: Pick<Exchange, 'because'>, byHand: boolean): Checked[] {
  const failedAt = because === undefined ? CHECKS.length : CHECKS.findIndex((check) => isOf(check, because))
  return CHECKS.map((check, index): Checked => {
    const { title, section } = check
    if (index === failedAt) return { title, section, state: 'failed' }
    return { title, section, state: index < failedAt && (check.byHand || !byHand) ? 'passed' : 'unseen' }
  })
}

const isOf = ({ reasons }: Check, because: string) =>
  reasons.some((reason) => because === reason || because.startsWith(`${reason}_`))
