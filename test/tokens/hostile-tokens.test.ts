// Whatever comes in, only the package's own refusals come out, and nothing that was not signed is believed.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogoutError } from '../../src/errors.js'
import type { Change } from '../../src/testing/token-change.js'
import { createTokenMint, type TokenMint } from '../../src/testing/token-mint.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import { TOKEN_REFUSALS } from '../../src/tokens/token-refusal.js'
import { CLIENT_ID, directoryOf, ISSUER, NOW, providerOf } from './verifying.js'

const RUNS = 2000
const LONG = 120_000

/** The cheapest signature, so that the runs go into the rules. */
async function setUp() {
  const clientSecret = 'the-client-secret'
  const options = { issuer: ISSUER, clientId: CLIENT_ID, algorithm: 'ES256', clientSecret, now: () => NOW } as const
  const mint = await createTokenMint(options)
  const key = { kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url') }
  const decryption = {
    keys: [key],
    keyManagementAlgorithms: ['dir'],
    contentEncryptionAlgorithms: ['A256GCM'],
    allowPlainJws: true,
  }
  const directory = directoryOf(providerOf(mint, { algorithms: ['ES256', 'HS256'], clientSecret, decryption }))
  /** Whether it was believed; fails on anything but a documented refusal. */
  async function isBelieved(token: string): Promise<boolean> {
    try {
      await verifyLogoutToken(token, { directory, now: NOW })
      return true
    } catch (error) {
      if (!(error instanceof LogoutError)) throw error
      expect(error.code).toBe('ERR_TOKEN')
      expect(Object.keys(TOKEN_REFUSALS)).toContain(error.reason)
      expect(error.reason).not.toBe('unverifiable')
      return false
    }
  }
  return { mint, key, isBelieved }
}

const json = fc.json({ maxDepth: 4 })
const segmentOf = (content: fc.Arbitrary<string | Uint8Array>) =>
  content.map((each) => Buffer.from(each).toString('base64url'))

describe('hostile tokens', () => {
  it('random text and bytes', { timeout: LONG }, async () => {
    const { isBelieved } = await setUp()
    const bytes = segmentOf(fc.uint8Array({ maxLength: 200 }))
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.array(bytes, { maxLength: 7 }).map((segments) => segments.join('.')),
      fc.array(segmentOf(json), { minLength: 3, maxLength: 5 }).map((segments) => segments.join('.')),
    )
    await fc.assert(
      fc.asyncProperty(text, async (token) => {
        expect(await isBelieved(token)).toBe(false)
      }),
      { numRuns: RUNS },
    )
  })

  it('random JSON, duly signed', { timeout: LONG }, async () => {
    const { mint, isBelieved } = await setUp()
    await fc.assert(
      fc.asyncProperty(json, async (rawPayload) => {
        expect(await isBelieved(await mint.logoutToken({ rawPayload }))).toBe(false)
      }),
      { numRuns: RUNS },
    )
  })

  it('random headers, duly signed', { timeout: LONG }, async () => {
    const { mint, isBelieved } = await setUp()
    const member = fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64', 'zip', 'enc', 'jwk', 'cty', 'p2c', 'x5c')
    await fc.assert(
      fc.asyncProperty(member, fc.jsonValue(), async (name, value) => {
        const believed = await isBelieved(await mint.logoutToken({ header: { [name]: value } }))
        if (['alg', 'kid', 'typ', 'crit'].includes(name)) expect(believed).toBe(false)
        else expect(believed).toBe(true)
      }),
      { numRuns: RUNS },
    )
  })

  it('one claim of any JSON, duly signed', { timeout: LONG }, async () => {
    const { mint, isBelieved } = await setUp()
    const member = fc.constantFrom('iss', 'aud', 'azp', 'iat', 'exp', 'nbf', 'sub', 'sid', 'events', 'nonce', 'jti')
    const mustBeGone = ['iss', 'aud', 'azp', 'iat', 'events', 'nonce']
    await fc.assert(
      fc.asyncProperty(member, fc.jsonValue(), async (name, value) => {
        const believed = await isBelieved(await mint.logoutToken({ payload: { [name]: value } }))
        if (mustBeGone.includes(name)) expect(believed).toBe(false)
      }),
      { numRuns: RUNS },
    )
  })

  it.each<[string, (key: { kty: string; k: string }) => Change]>([
    ['signed', () => ({})],
    ['signed by the client secret', () => ({ signer: 'client-secret' })],
    ['encrypted', (key) => ({ encrypt: { key, alg: 'dir' } })],
  ])('a valid token, %s, with something changed', { timeout: LONG }, async (_, changeOf) => {
    const { mint, key, isBelieved } = await setUp()
    const valid = await mint.logoutToken(changeOf(key))
    expect(await isBelieved(valid)).toBe(true)
    await fc.assert(
      fc.asyncProperty(mutated(valid), async (token) => {
        expect(await isBelieved(token)).toBe(token === valid)
      }),
      { numRuns: RUNS },
    )
  })

  it('segments of several valid tokens, mixed', { timeout: LONG }, async () => {
    const { mint, key, isBelieved } = await setUp()
    const tokens = [...(await several(mint)), await mint.logoutToken({ encrypt: { key, alg: 'dir' } })]
    const segments = fc.constantFrom(...tokens.flatMap((token) => token.split('.')))
    await fc.assert(
      fc.asyncProperty(fc.array(segments, { minLength: 3, maxLength: 5 }), async (mixed) => {
        const token = mixed.join('.')
        expect(await isBelieved(token)).toBe(tokens.includes(token))
      }),
      { numRuns: RUNS },
    )
  })
})

function several(mint: TokenMint): Promise<string[]> {
  const changes: Change[] = [{}, { payload: { sub: 'admin' } }, { signer: 'client-secret' }]
  return Promise.all(changes.map((change) => mint.logoutToken(change)))
}

/** One character replaced, inserted or removed, a piece doubled or cut, or bytes of a segment changed. */
function mutated(token: string): fc.Arbitrary<string> {
  const at = fc.nat({ max: token.length - 1 })
  const character = fc.oneof(
    fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  )
  return fc.oneof(
    fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i + 1)),
    fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i)),
    fc.tuple(at, at).map(([i, j]) => token.slice(0, Math.min(i, j)) + token.slice(Math.max(i, j))),
    fc.tuple(at, at).map(([i, j]) => token.slice(0, Math.max(i, j)) + token.slice(Math.min(i, j))),
    at.map((i) => token.slice(i) + token.slice(0, i)),
  )
}
