// `npm run providers:capture`: runs the scenarios at the real OpenID Providers and takes what they sent, and what was seen of them,
// into the repository: the shapes into test/conformance/openid-providers.json, the rest into test/live-providers/seen.json and
// from there into docs/providers-table.md. Names
// of test files may follow (`npm run providers:capture -- hydra`): then only those providers are run and replaced.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CapturedShape, Seen } from '../test/live-providers/seen.js'
import { writeProvidersTable } from './providers-table.js'

const ROOT = join(import.meta.dirname, '..')
const SHAPES = join(ROOT, 'test/conformance/openid-providers.json')
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
function likeness({ provider, version, needs, header, payload }: Shape): string {
  const opaque = new Set(['kid', 'jti', 'sid', 'sub', 'aud'])
  const shown = (members: Readonly<Record<string, unknown>>) =>
    Object.entries(members).map(([name, value]) => {
      if (!opaque.has(name)) return [name, value]
      return [name, Array.isArray(value) ? 'array' : `${typeof value} of ${String(value).length}`]
    })
  return JSON.stringify([provider, version, needs, shown(header), shown(payload)])
}

/** Captures of a provider replace its older captures; one that says the same as before stays as it was. */
function merged(shapes: readonly Shape[], fresh: readonly Shape[]): Shape[] {
  const providers = new Set(fresh.map(({ provider }) => provider))
  const isOld = ({ confidence, provider }: Shape) => confidence === 'live' && providers.has(provider)
  const old = new Map(shapes.filter(isOld).map((shape) => [likeness(shape), shape]))
  for (const shape of fresh) {
    if (!old.has(likeness(shape))) console.log(`new or changed: ${shape.provider} ${shape.version}`)
  }
  return [...shapes.filter((shape) => !isOld(shape)), ...fresh.map((shape) => old.get(likeness(shape)) ?? shape)]
}

const folder = mkdtempSync(join(tmpdir(), 'bcl-capture-'))
try {
  capture(folder, process.argv.slice(2))
  write(SHAPES, merged(read<Shape[]>(SHAPES), captured<Shape>(folder, 'shape')))
  const seen = captured<Seen>(folder, 'seen')
  const names = new Set(seen.map(({ name }) => name))
  const others = read<Seen[]>(SEEN).filter(({ name }) => !names.has(name))
  write(
    SEEN,
    [...others, ...seen].sort((a, b) => a.name.localeCompare(b.name)),
  )
  writeProvidersTable()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
