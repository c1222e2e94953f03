// The tests mirror the sources: each file with logic has a test of its name, or is shown by one that is named here.
import { existsSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { filesUnder, read } from './repository.js'

/**
 * Files whose behaviour is seen at another level only: over HTTP, in a store, or through the one file that uses them.
 * A test of their own would say the same twice, or would pin how it is done.
 */
const SHOWN_BY: Readonly<Record<string, readonly string[]>> = {
  // What a route answers to a bearer token, by HTTP.
  'access-tokens/require-token.test.ts': ['access-tokens/bearer.ts', 'access-tokens/bearer-route.ts'],
  'access-tokens/introspection.test.ts': ['access-tokens/audience-watch.ts', 'access-tokens/server-metadata.ts'],
  'access-tokens/login-records.test.ts': ['access-tokens/sign-on-keys.ts', 'access-tokens/sign-on-reader.ts'],
  'access-tokens/relay-receiver.test.ts': ['access-tokens/relay-notice.ts'],
  // The sentences are held against the pages that explain them.
  'docs/errors-page.test.ts': ['advice.ts', 'mistakes/mistakes.ts'],
  'errors.test.ts': ['access-tokens/no-verdict.ts'],
  // It wires, and decides nothing: the whole shows it.
  'conformance/certification.test.ts': ['backchannel-logout.ts'],
  // The commands as a shell sees them: output and exit code.
  'cli/doctor.test.ts': [
    'cli/doctor-bounds.ts',
    'cli/doctor-fetch.ts',
    'cli/doctor-provider.ts',
    'cli/known-provider.ts',
    'cli/names.ts',
  ],
  // The logout request, byte by byte, over real sockets and as a Web Request.
  'conformance/requests.test.ts': [
    'http/answer.ts',
    'http/bad-request.ts',
    'http/bounded-body.ts',
    'http/form.ts',
    'http/web.ts',
  ],
  'outbound/logout-token-sender.test.ts': ['http/guarded-post.ts', 'outbound/logout-delivery.ts'],
  'conformance/replay.test.ts': ['receivers/backchannel-answers.ts'],
  // One pass, tried again until it is done: the order, each failure, each deadline.
  'logout/engine.test.ts': ['logout/denied-here.ts', 'logout/hooks.ts', 'logout/pass.ts'],
  'receivers/kept-tokens.test.ts': ['tokens/keys-awaited.ts'],
  'telemetry/prometheus.test.ts': ['logout/health.ts'],
  'providers/remedies.test.ts': ['mistakes/issuer-difference.ts'],
  'mistakes/mistakes-page.test.ts': ['mistakes/unread-outcome.ts'],
  // Where the browser is sent, and what it brings back.
  'outbound/rp-initiated-logout.test.ts': [
    'outbound/end-session.ts',
    'outbound/end-session-route.ts',
    'outbound/logout-cookies.ts',
    'outbound/pending-logouts.ts',
    'providers/end-session-dialect.ts',
  ],
  'outbound/owed-revocations.test.ts': ['outbound/record-sources.ts'],
  'outbound/revalidation.test.ts': ['outbound/revalidation-states.ts'],
  'outbound/revoke-tokens.test.ts': ['providers/client-authentication.ts', 'providers/oauth-transport.ts'],
  // Options of a provider: each default, each mistake.
  'providers/provider.test.ts': [
    'providers/algorithms.ts',
    'providers/decryption-option.ts',
    'providers/option-values.ts',
  ],
  'providers/signing-keys.test.ts': ['providers/jwk.ts', 'providers/key-lookup.ts'],
  'providers/fetched-keys.test.ts': ['providers/metadata.ts'],
  // Real signatures, and messages that were forged in one way each, by HTTP.
  'saml/single-logout-service.test.ts': [
    'providers/saml-provider.ts',
    'saml/answers.ts',
    'saml/logout-messages.ts',
    'saml/node-saml.ts',
    'saml/open-requests.ts',
    'saml/redirect-query.ts',
    'saml/refusals.ts',
    'saml/signed-messages.ts',
    'saml/xml-view.ts',
  ],
  'sessions/express-session.test.ts': ['sessions/session-row.ts'],
  'sign-ons/login.test.ts': ['sessions/session-in.ts'],
  'sign-ons/bind.test.ts': ['sign-ons/end-tokens.ts', 'sign-ons/options.ts'],
  'sign-ons/later-logins.test.ts': ['sign-ons/store-time.ts'],
  // Every order of what can happen to one browser.
  'interleavings/failed-logins.test.ts': ['sign-ons/undoings.ts'],
  'interleavings/interleavings.test.ts': ['sign-ons/sign-ons.ts', 'sign-ons/verdicts.ts', 'logout/interim-ids.ts'],
  // The store contract, on the real servers.
  'stores/redis/cluster-store.test.ts': ['stores/redis/cluster-steps.ts'],
  'stores/redis/redis-store.test.ts': ['stores/redis/fields.ts'],
  'stores/redis/standalone-store.test.ts': ['stores/redis/check-redis.ts'],
  'stores/redis/log-entries.test.ts': ['stores/logout-position.ts'],
  // The contract's own cases fail each store of one defect.
  'testing/logout-store/contract.test.ts': [
    'begin.ts',
    'bind.ts',
    'comparisons.ts',
    'complete.ts',
    'concurrency.ts',
    'covering.ts',
    'end-sessions.ts',
    'expiry.ts',
    'limits.ts',
    'list.ts',
    'marks.ts',
    'pages.ts',
    'read.ts',
    'rebind.ts',
    'renew.ts',
    'scene.ts',
    'without-sid.ts',
  ].map((file) => `testing/logout-store/${file}`),
  // What users test with, tried on a sound application and on one mistake each.
  'testing/assert-logout-works.test.ts': [
    'testing/application-on-trial.ts',
    'testing/browser.ts',
    'testing/event-ear.ts',
    'testing/logout-trial.ts',
    'testing/receiver-answer.ts',
    'testing/trial-failure.ts',
  ],
  'testing/fake-op.test.ts': ['testing/fake-endpoint.ts'],
  'testing/token-mint.test.ts': ['testing/mint-keys.ts'],
  'testing/session-store-suite.test.ts': [
    'testing/held-request.ts',
    'testing/session-requests.ts',
    'testing/session-store-rp.ts',
  ],
  'testing/fake-login.test.ts': ['testing/provider-shapes.ts'],
}

const sources = filesUnder('src').filter((file) => file.endsWith('.ts') && !file.includes('/generated/'))
const within = (file: string) => file.replace(/^src\//, '')
const testOf = (file: string) => `test/${within(file).replace(/\.ts$/, '.test.ts')}`
const shown = Object.values(SHOWN_BY).flat()

/** Types, names of exports and lists of words have nothing that could go wrong at run time. */
function hasLogic(source: string): boolean {
  let found = false
  const look = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) found = true
    if (!found) ts.forEachChild(node, look)
  }
  look(ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest))
  return found
}

/** Every file that a test imports, and what those import. */
function reachedFrom(test: string): ReadonlySet<string> {
  const reached = new Set([test])
  for (const file of reached) {
    for (const [, specifier = ''] of read(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)\.js'/g)) {
      const target = `${path.join(path.dirname(file), specifier)}.ts`
      if (existsSync(path.resolve(import.meta.dirname, '../..', target))) reached.add(target)
    }
  }
  return reached
}

describe('the tests', () => {
  it('have a file for each source with logic', () => {
    const without = sources
      .filter((file) => !existsSync(path.resolve(import.meta.dirname, '../..', testOf(file))))
      .filter((file) => hasLogic(read(file)))
    expect(without.map(within).filter((file) => !shown.includes(file))).toEqual([])
    expect(shown.filter((file) => !without.map(within).includes(file))).toEqual([])
    expect(new Set(shown).size).toBe(shown.length)
  })

  it.each(Object.entries(SHOWN_BY))('%s reaches what it is said to show', (test, files) => {
    const reached = reachedFrom(`test/${test}`)
    expect(files.filter((file) => !reached.has(`src/${file}`))).toEqual([])
  })

  it('tell logic from types', () => {
    expect(hasLogic('export interface A { b(): void }\nexport const NAMES = { a: true } as const')).toBe(false)
    expect(hasLogic("export { a } from './a.js'\nexport type F = (a: string) => void")).toBe(false)
    expect(hasLogic('export const a = (b: number) => b + 1')).toBe(true)
    expect(hasLogic('export class A { b() { return 1 } }')).toBe(true)
  })
})
