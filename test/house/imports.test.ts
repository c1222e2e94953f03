// Imports point one way: from the face down to the marks. Read off the sources, so that no wall moves unnoticed.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../../src')

/** From the top down; a room may import rooms of lower rows only, and its own files. */
const ROWS: readonly (readonly string[])[] = [
  ['cli'],
  ['index.ts', 'testing', 'saml'],
  ['backchannel-logout.ts'],
  ['logout-methods.ts'],
  ['receivers', 'outbound', 'access-tokens', 'options.ts'],
  ['sign-ons'],
  ['logout'],
  ['tokens', 'sessions'],
  ['providers'],
  ['stores'],
  ['http'],
  ['marks', 'telemetry'],
  ['mistakes'],
  ['events.ts', 'expiring-map.ts'],
  ['deadline.ts'],
  ['errors.ts', 'json-object.ts', 'option-checks.ts'],
  ['advice.ts'],
]

/** Which package may be imported from where. Everything else that is not Node's own is a mistake. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  jose: ['tokens', 'providers', 'testing', 'access-tokens', 'cli', 'outbound'],
  oauth4webapi: ['providers', 'access-tokens', 'outbound'],
  'lru-cache': ['providers', 'access-tokens'],
  'prom-client': ['telemetry'],
  '@opentelemetry/api': ['telemetry'],
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

function importsOf(file: string): readonly string[] {
  const source = readFileSync(path.join(root, file), 'utf8')
  return [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map(([, specifier = '']) => specifier)
}

/** `jose/jwt/verify` is of the package `jose`, `@scope/name/part` of `@scope/name`. */
const packageOf = (specifier: string) => specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? specifier
const roomOf = (file: string) => file.split(path.sep)[0] ?? file
const rowOf = (file: string) => ROWS.findIndex((row) => row.includes(roomOf(file)))

describe('the house', () => {
  it('has every file of src in a room of its plan', () => {
    expect(files.filter((file) => rowOf(file) === -1)).toEqual([])
    expect(files.length).toBeGreaterThan(15)
  })

  it('imports downwards only', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => path.join(path.dirname(file), specifier))
        .filter((target) => roomOf(target) !== roomOf(file.replace(/\.ts$/, '.js')))
        .filter((target) => rowOf(target.replace(/\.js$/, '.ts')) <= rowOf(file))
        .map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('imports in no circle, not even for a type', () => {
    const importing = new Map(
      files.map((file): [string, readonly string[]] => [
        file,
        importsOf(file)
          .filter((specifier) => specifier.startsWith('.'))
          .map((specifier) => path.join(path.dirname(file), specifier).replace(/\.js$/, '.ts')),
      ]),
    )
    // Whatever imports nothing that is left is in no circle; what is left in the end is one, or leads to one.
    for (let size = -1; size !== importing.size; ) {
      size = importing.size
      for (const [file, targets] of importing) {
        if (!targets.some((target) => importing.has(target))) importing.delete(file)
      }
    }
    expect([...importing.keys()]).toEqual([])
  })

  it('imports no framework and no driver, and each library only where it belongs', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
        .filter((specifier) => !PACKAGES[packageOf(specifier)]?.includes(roomOf(file)))
        .map((specifier) => `${file} imports ${specifier}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no default export and no room for leftovers', () => {
    expect(files.filter((file) => /^export default/m.test(readFileSync(path.join(root, file), 'utf8')))).toEqual([])
    expect(
      files.filter((file) => /(^|\/)(utils?|helpers?|types|constants|managers?|services?)(\.ts|\/)/.test(file)),
    ).toEqual([])
  })

  it('opens every file with a sentence', () => {
    expect(files.filter((file) => !/^(#!.*\n)?\/\/ /.test(readFileSync(path.join(root, file), 'utf8')))).toEqual([])
  })
})
