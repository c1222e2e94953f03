// What each subpath of the package exports: named here, so that nothing joins or leaves the public face unnoticed; each
// with its words.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const manifest: { exports: Record<string, unknown>; peerDependencies: object; peerDependenciesMeta: object } =
  JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))

/** The values of each subpath. Types are pinned in `public-types.test.ts`. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  '.': [
    ...['LogoutError', 'NoVerdictError', 'boundedReads', 'createBackchannelLogout', 'expressSessions'],
    ...['createLogoutBroker', 'createLogoutTokenSender', 'createRevalidation', 'memoryRevalidationStates'],
    ...['byIntrospection', 'byRefreshToken', 'byUserInfo'],
    ...['endSessionPreset', 'memoryStore', 'preset'],
  ],
  './claims': [
    'confirmDpop',
    'createClaims',
    'createEvictionClient',
    'createJwtCheck',
    'createRelay',
    'createRelayReceiver',
    'withLoginRecords',
  ],
  './saml': ['createSamlLogout', 'samlProvider'],
  './store': ['covers', 'withMark'],
  './redis': ['checkRedis', 'redisStore'],
  './prometheus': ['prometheusMetrics'],
  './opentelemetry': ['openTelemetry', 'traceStore'],
  './testing': [
    'BACKCHANNEL_LOGOUT_EVENT',
    'DEFECTS',
    'DELIVERY_HABITS',
    'PROVIDER_SHAPES',
    'SESSION_CONFIGURATIONS',
    'SESSION_OPERATIONS',
    'assertLogoutWorks',
    'assertSessionStoreIsSafe',
    'createFakeOp',
    'createTestBrowser',
    'createTokenMint',
    'deliver',
    'deliverAs',
    'loginTraps',
    'logoutStoreContract',
    'mintKeys',
    'runSessionStoreMatrix',
  ],
  './postgres': ['applySchema', 'checkPostgres', 'postgresStore', 'prunePostgres'],
}

const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json')

/** `./dist/stores/index.js` is made of `src/stores/index.ts`. */
function sourceOf(subpath: string): string {
  const [, built] = /"\.\/dist\/([^"]+)\.d\.c?ts"/.exec(JSON.stringify(manifest.exports[subpath])) ?? []
  return path.join(root, 'src', `${built}.ts`)
}

const program = ts.createProgram(subpaths.map(sourceOf), {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  skipLibCheck: true,
  types: ['node'],
})
const checker = program.getTypeChecker()

function exportsOf(subpath: string): readonly ts.Symbol[] {
  const file = program.getSourceFile(sourceOf(subpath))
  const symbol = file && checker.getSymbolAtLocation(file)
  if (symbol === undefined) throw new Error(`${subpath} is no module`)
  return checker.getExportsOfModule(symbol)
}

const declared = (symbol: ts.Symbol) =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol

const valuesOf = (subpath: string) =>
  exportsOf(subpath)
    .filter((symbol) => declared(symbol).flags & ts.SymbolFlags.Value)
    .map(({ name }) => name)
    .sort()

describe('the public face', () => {
  it.each(Object.keys(VALUES))('%s exports exactly what is named here', (subpath) => {
    expect(valuesOf(subpath)).toEqual([...(VALUES[subpath] ?? [])].sort())
  })

  it('has no value under two subpaths', () => {
    const all = Object.keys(VALUES).flatMap(valuesOf)
    expect(all.filter((name, i) => all.indexOf(name) !== i)).toEqual([])
  })

  it.each(subpaths)('%s: every export has its docstring', (subpath) => {
    const silent = exportsOf(subpath).filter((symbol) => declared(symbol).getDocumentationComment(checker).length === 0)
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  it('demands no framework and no driver: every peer is optional', () => {
    expect(Object.keys(manifest.peerDependencies)).not.toContain('express')
    expect(Object.keys(manifest.peerDependenciesMeta).sort()).toEqual(Object.keys(manifest.peerDependencies).sort())
  })
})
