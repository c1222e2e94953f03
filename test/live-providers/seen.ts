// What a run saw, written where `npm run providers:capture` asks for it: shapes of Logout Tokens, the facts that held,
// and what was issued in several logins. Says nothing of who was signed in where, and reads nothing.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IdTokenClaims, ProviderOptions } from 'oidc-backchannel-logout'
import type { LiveProvider } from './live-provider.js'
import type { Delivery } from './live-rp.js'

/** As in `test/conformance/openid-providers.json`. */
export interface CapturedShape {
  readonly provider: string
  readonly version: string
  readonly source: string
  readonly confidence: 'live'
  readonly needs: readonly string[]
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
  readonly notes: string
}

/** What one provider did in a run of all its scenarios. */
export interface Seen extends Pick<LiveProvider, 'name' | 'version' | 'preset' | 'shape' | 'delivering' | 'acts'> {
  readonly date: string
}

type Said = Readonly<Record<string, unknown>>

/** What an API learns of one access token: by introspection, and by verifying it alone. */
export interface SaidOfToken {
  readonly introspected: Said
  readonly local: Said
}

/** One thing that happened; `at`: when, by the clock of the RP. A token's `name` is for those who read the recording. */
export type RecordedStep =
  | ({
      readonly step: 'sign-in'
      readonly name: string
      /** When the browser was sent to the provider. */
      readonly startedAt: number
      readonly at: number
      /** The claims of the ID Token, as `bind` is given them. */
      readonly idToken: IdTokenClaims
    } & SaidOfToken)
  | ({ readonly step: 'refresh'; readonly name: string; readonly at: number } & SaidOfToken)
  | { readonly step: 'logout'; readonly at: number; readonly logoutToken: Said }

/** As in `test/conformance/recorded-logins.json`: everything that was issued in one case, in order. */
export interface RecordedLogins {
  readonly provider: string
  readonly version: string
  readonly source: string
  readonly circumstance: string
  readonly issuer: string
  readonly clientId: string
  readonly steps: readonly RecordedStep[]
}

/** All captures are dated as if sent then, so that two of them can be compared. */
const DATED = 1_760_000_000

/** Members that are dates. */
export const DATES = new Set(['iat', 'exp', 'nbf', 'auth_time', 'at', 'startedAt'])

const folder = process.env.PROVIDERS_CAPTURE

/** One file for each provider and circumstance; the last one counts. */
export function recordShape(
  { name, version }: Pick<LiveProvider, 'name' | 'version'>,
  options: Omit<ProviderOptions, 'issuer' | 'clientId'>,
  circumstance: string,
  { header, payload, contentType, userAgent }: Delivery,
): void {
  const shape: CapturedShape = {
    provider: name,
    version: `${version}, ${circumstance}`,
    source: captureOf(name, version),
    confidence: 'live',
    needs: needsOf(options),
    header: { ...header },
    payload: published(payload),
    notes: `Sent as ${contentType}; User-Agent ${userAgent === undefined ? 'absent' : JSON.stringify(userAgent)}.`,
  }
  write(`shape ${name} ${version}, ${circumstance}`, shape)
}

export function recordSeen({ name, version, preset, shape, delivering, acts }: LiveProvider): void {
  const seen: Seen = {
    ...{ name, version, preset, shape, delivering, acts },
    date: new Date().toISOString().slice(0, 10),
  }
  write(`seen ${name} ${version}`, seen)
}

/**
 * `names`: what stands for what only this run has, as the addresses of its servers. The first sign-in is dated as all
 * captures are, and everything else is as long before and after it as it was.
 */
export function recordLogins(logins: Omit<RecordedLogins, 'source'>, names: ReadonlyMap<string, string>): void {
  const { steps, ...about } = logins
  const { provider, version, circumstance } = about
  const first = steps.find((each) => each.step === 'sign-in')
  const shift = DATED - Number(first?.idToken.iat ?? DATED)
  let text = JSON.stringify({ ...about, source: captureOf(provider, version), steps }, (name, value) =>
    typeof value === 'number' && DATES.has(name) ? Math.round((value + shift) * 1000) / 1000 : value,
  )
  for (const [own, neutral] of names) text = text.replaceAll(own, neutral)
  write(`logins ${provider} ${version}, ${circumstance}`, JSON.parse(text))
}

const captureOf = (provider: string, version: string) =>
  `captured live: ${provider} ${version}, ${new Date().toISOString().slice(0, 7)}`

/** Dated evenly, and with an issuer that does not name a port of this run. */
function published(payload: Delivery['payload']): Readonly<Record<string, unknown>> {
  const shift = DATED - (payload.iat ?? DATED)
  return Object.fromEntries(
    Object.entries(payload).map(([name, value]) => {
      if (typeof value === 'number' && ['iat', 'exp', 'nbf'].includes(name)) return [name, value + shift]
      if (name === 'iss') return [name, String(value).replace(/^http:\/\/127\.0\.0\.1:\d+/, 'https://op.example.com')]
      return [name, value]
    }),
  )
}

function needsOf(options: Omit<ProviderOptions, 'issuer' | 'clientId'>): readonly string[] {
  const { allowMissingExp, algorithms = [], trustedAudiences = [], decryption } = options
  return [
    ...(allowMissingExp ? ['exp may be absent'] : []),
    ...algorithms.map((alg) => `algorithm ${alg}${alg.startsWith('HS') ? ' with the client secret' : ''}`),
    ...trustedAudiences.map((audience) => `audience ${audience} trusted`),
    ...(decryption === undefined
      ? []
      : [`decryption ${decryption.keyManagementAlgorithms[0]} with ${decryption.contentEncryptionAlgorithms[0]}`]),
  ]
}

function write(name: string, content: unknown): void {
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name.replaceAll(/[^\w.,-]+/g, '-')}.json`), JSON.stringify(content))
}
