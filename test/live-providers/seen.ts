// What a run saw, written where `npm run providers:capture` asks for it: shapes of Logout Tokens and the facts that held. Says
// nothing of who was signed in where, and reads nothing.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProviderOptions } from 'oidc-backchannel-logout'
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

/** All captures are dated as if sent then, so that two of them can be compared. */
const DATED = 1_760_000_000

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
    source: `captured live: ${name} ${version}, ${new Date().toISOString().slice(0, 7)}`,
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

function write(name: string, content: object): void {
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name.replaceAll(/[^\w.,-]+/g, '-')}.json`), JSON.stringify(content))
}
