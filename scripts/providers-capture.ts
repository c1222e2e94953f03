// `npm run providers:capture`: runs the scenarios at the real OpenID Providers and takes what they sent, and what was
// seen of them, into the repository: the shapes into test/conformance/openid-providers.json, what was issued in several
// logins into test/conformance/recorded-logins.json, the rest into test/live-providers/seen.json and from there into
// docs/providers-table.md. Names of test files may follow
// (`npm run providers:capture -- hydra`): then only those providers are run and replaced.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CapturedShape, DATES, type RecordedLogins, type Seen } from '../test/live-providers/seen.js'
import { writeProvidersTable } from './providers-table.js'

const ROOT = join(import.meta.dirname, '..')
const SHAPES = join(ROOT, 'test/conformance/openid-providers.json')
const LOGINS = join(ROOT, 'test/conformance/recorded-logins.json')
const SEEN = join(ROOT, 'test/live-providers/seen.json')

/** An entry that is read in a provider's source has the same members, but for `confidence`. */
type Shape = Omit<CapturedShape, 'confidence'> & { readonly confidence: string }

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8'))
const write = (file: string, content: object) => writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`)

function capture(folder: string, files: readonly string[]): void {
  const args = ['vitest', 'run', '--config', 'vitest.live-providers.config.ts', ...files]
  const env = { ...process.env, PROVIDERS_CAPTURE: folder }
  const { status } = spawnSync('npx', args, { cwd: ROOT, env, stdio: 'inherit' })
  if (status !== 0) throw new Error('a scenario did not hold: nothing is taken over')
}

function captured<T>(folder: string, kind: string): T[] {
  const names = readdirSync(folder).filter((name) => name.startsWith(`${kind}-`))
  return names.sort().map((name) => read<T>(join(folder, name)))
}

/** What stays the same from one capture to the next: everything but opaque values. */
function likenessOf({ provider, version, needs, header, payload }: Shape): string {
  const opaque = new Set(['kid', 'jti', 'sid', 'sub', 'aud'])
  const shown = (members: Readonly<Record<string, unknown>>) =>
    Object.entries(members).map(([name, value]) => {
      if (!opaque.has(name)) return [name, value]
      return [name, Array.isArray(value) ? 'array' : `${typeof value} of ${String(value).length}`]
    })
  return JSON.stringify([provider, version, needs, shown(header), shown(payload)])
}

/** Each is another in each run; which of them are the same is not. */
const IDS = new Set(['jti', 'sid', 'sub', 'nonce', 'at_hash', 'session_state'])

/**
 * The same of several logins: ids by the order in which they appear, an expiry by what it is after, and of all other
 * dates only whether `auth_time` is that of the first login of the same `sid`.
 */
function likenessOfLogins({ source: _, ...logins }: RecordedLogins): string {
  const ids: unknown[] = []
  const authTimes = new Map<unknown, unknown>()
  return JSON.stringify(logins, function (this: Readonly<Record<string, unknown>>, name, value) {
    if (IDS.has(name)) {
      if (!ids.includes(value)) ids.push(value)
      return ids.indexOf(value)
    }
    if (name === 'auth_time') {
      if (!authTimes.has(this.sid)) authTimes.set(this.sid, value)
      return authTimes.get(this.sid) === value
    }
    if (name === 'exp') return Number(value) - Number(this.iat)
    if (DATES.has(name)) return 'a date'
    // Scopes, roles and members come in any order, steps do not.
    if (name === 'scope') return String(value).split(' ').sort()
    if (Array.isArray(value)) return name === 'steps' ? value : value.toSorted()
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).sort()) : value
  })
}

interface Captured {
  readonly provider: string
  readonly version: string
}

/**
 * Captures of a provider replace its older captures, and those that say the same as before, by `likeness`, stay as they
 * were. What is not `isCaptured` was read elsewhere, and stays in front.
 */
function merged<T extends Captured>(
  all: readonly T[],
  fresh: readonly T[],
  likeness: (one: T) => string,
  isCaptured: (one: T) => boolean = () => true,
): T[] {
  const providers = new Set(fresh.map(({ provider }) => provider))
  const isOld = (one: T) => isCaptured(one) && providers.has(one.provider)
  const old = new Map(all.filter(isOld).map((one) => [likeness(one), one]))
  for (const one of fresh) {
    if (!old.has(likeness(one))) console.log(`new or changed: ${one.provider} ${one.version}`)
  }
  const captures = [
    ...all.filter((one) => isCaptured(one) && !isOld(one)),
    ...fresh.map((one) => old.get(likeness(one)) ?? one),
  ]
  const byProvider = (a: T, b: T) => Number(a.provider > b.provider) - Number(a.provider < b.provider)
  return [...all.filter((one) => !isCaptured(one)), ...captures.sort(byProvider)]
}

const folder = mkdtempSync(join(tmpdir(), 'bcl-capture-'))
try {
  capture(folder, process.argv.slice(2))
  const isLive = ({ confidence }: Shape) => confidence === 'live'
  write(SHAPES, merged(read<Shape[]>(SHAPES), captured<Shape>(folder, 'shape'), likenessOf, isLive))
  write(LOGINS, merged(read<RecordedLogins[]>(LOGINS), captured<RecordedLogins>(folder, 'logins'), likenessOfLogins))
  const seen = captured<Seen>(folder, 'seen')
  const names = new Set(seen.map(({ name }) => name))
  const others = read<Seen[]>(SEEN).filter(({ name }) => !names.has(name))
  write(
    SEEN,
    [...others, ...seen].sort((a, b) => a.name.localeCompare(b.name)),
  )
  writeProvidersTable()
  spawnSync('npx', ['biome', 'format', '--write', SHAPES, LOGINS, SEEN], { cwd: ROOT, stdio: 'ignore' })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
