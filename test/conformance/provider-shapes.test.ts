// Every known shape of a Logout Token, member for member as its provider sends it, delivered to a Relying Party that is
// configured by that provider's preset: 200, and exactly the right sessions end. What deviates is refused without the
// preset.
import { exportJWK, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { type ProviderOptions, preset } from '../../src/index.js'
import { createTokenMint, type MintAlgorithm, type TokenMint } from '../../src/testing/index.js'
import shapes from './openid-providers.json' with { type: 'json' }
import { type Answer, CLIENT_SECRET, expectLoggedOut, expectRefusal, type Rp, withRp } from './rp.js'

type PresetName = Parameters<typeof preset>[0]

/** The data's own `iat`, but for providers that date back. */
const DATED = 1_760_000_000

interface Shape {
  readonly provider: string
  readonly version: string
  readonly needs: readonly string[]
  readonly header: Readonly<Record<string, unknown>> & { readonly alg: string }
  readonly payload: Readonly<Record<string, unknown>> & { readonly iss: string; readonly aud: string | string[] }
}

const SHAPES: readonly Shape[] = shapes

/**
 * By the beginning of the provider's name; the suite and the specification's example are the letter and need no preset.
 */
const PRESET_OF: Readonly<Record<string, PresetName | undefined>> = {
  Keycloak: 'keycloak',
  'Ory Hydra': 'ory-hydra',
  'Duende IdentityServer / IdentityServer4': 'identityserver4',
  'Duende IdentityServer': 'duende',
  'panva/node-oidc-provider': 'oidc-provider',
  Logto: 'logto',
  Auth0: 'auth0',
  PingOne: 'pingone-aic',
  'Apereo CAS': 'cas',
  Zitadel: 'zitadel',
  authentik: 'authentik',
  'GOV.UK': 'govuk-one-login',
  Casdoor: 'casdoor',
  Rauthy: 'rauthy',
  WSO2: 'wso2',
  Janssen: 'janssen',
  SimpleSAMLphp: 'simplesamlphp',
  LemonLDAP: 'lemonldap-ng',
  'IBM Open Liberty': 'open-liberty',
  'Open Liberty': 'open-liberty',
  'better-auth': 'better-auth',
  Connect2id: 'connect2id',
  Glewlwyd: 'glewlwyd',
  idpyoidc: undefined,
  'OIDF conformance suite': undefined,
  'OpenID Back-Channel Logout': undefined,
}

/** What a need of the data is called among the options, and what else must be given with it. */
const OPTION_OF_NEED: readonly { readonly need: RegExp; readonly option: string; readonly reason: string }[] = [
  { need: /^exp may be absent$/, option: 'allowMissingExp', reason: 'exp_missing' },
  { need: /^typ at\+jwt taken$/, option: 'additionalTyp', reason: 'typ_refused' },
  { need: /^algorithm /, option: 'algorithms', reason: 'alg_not_allowed' },
  { need: /^decryption /, option: 'decryption', reason: 'encryption_not_configured' },
]

/**
 * Casdoor's need is not one of belief: by default its token is believed and, its `sid` being in no ID Token, ends
 * nothing.
 */
const NEEDS_IGNORED_SID = /^fall back from sid to sub/

function presetOf({ provider }: Shape): PresetName | undefined {
  const known = Object.keys(PRESET_OF).find((name) => provider.startsWith(name))
  if (known === undefined) throw new Error(`no preset is named for ${provider}`)
  return PRESET_OF[known]
}

/** The preset, and what only the registration of this one client can say. */
function configured(shape: Shape): Partial<ProviderOptions> {
  const name = presetOf(shape)
  const { alg } = shape.header
  const encryption = encryptionOf(shape)
  return {
    ...(name === undefined ? {} : preset(name)),
    ...(alg !== 'RS256' && { algorithms: [alg] }),
    ...(alg === 'HS256' && { clientSecret: CLIENT_SECRET }),
    ...(encryption && {
      decryption: {
        keys: [RP_KEYS[encryption.alg].private],
        keyManagementAlgorithms: [encryption.alg],
        contentEncryptionAlgorithms: [encryption.enc],
      },
    }),
  }
}

const KEY_MANAGEMENT = ['RSA-OAEP', 'ECDH-ES'] as const

/** How the Logout Token of this shape is encrypted: its `header` and `payload` are those of the token inside. */
function encryptionOf({ needs }: Shape) {
  const [, alg, enc] = needs.map((need) => /^decryption (\S+) with (\S+)$/.exec(need)).find((found) => found) ?? []
  if (alg === undefined || enc === undefined) return undefined
  const known = KEY_MANAGEMENT.find((name) => name === alg)
  if (known === undefined) throw new Error(`the Relying Party has no key for ${alg}`)
  return { alg: known, enc }
}

async function keyPair(alg: string) {
  const pair = await generateKeyPair(alg, { extractable: true })
  const about = { kid: 'of the RP', use: 'enc', alg }
  return {
    private: { ...(await exportJWK(pair.privateKey)), ...about },
    public: { ...(await exportJWK(pair.publicKey)), ...about },
  }
}

/** The keys to which this Relying Party has Logout Tokens encrypted. */
const RP_KEYS = { 'RSA-OAEP': await keyPair('RSA-OAEP'), 'ECDH-ES': await keyPair('ECDH-ES') }

const clientIdOf = ({ payload: { aud } }: Shape) => (typeof aud === 'string' ? aud : (aud[0] ?? ''))

const ALGORITHMS: readonly MintAlgorithm[] = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'HS256']

async function mintOf(shape: Shape): Promise<TokenMint> {
  const algorithm = ALGORITHMS.find((known) => known === shape.header.alg)
  if (algorithm === undefined) throw new Error(`the mint is not prepared for ${shape.header.alg}`)
  const { iss: issuer } = shape.payload
  return createTokenMint({ issuer, clientId: clientIdOf(shape), algorithm, clientSecret: CLIENT_SECRET })
}

/** The mint's keys, its signing key under the provider's own kid. */
function keysOf(shape: Shape, mint: TokenMint) {
  const [signing, ...others] = mint.jwks.keys.toReversed()
  const { kid } = shape.header
  return {
    keys: [...others, ...(signing === undefined ? [] : [{ ...signing, ...(typeof kid === 'string' ? { kid } : {}) }])],
  }
}

/** Shifted to now with all distances kept, and byte for byte in the order of the data. */
function redated(shape: Shape, now: number): string {
  const dates = Object.entries(shape.payload).map(([name, value]) =>
    ['iat', 'exp', 'nbf'].includes(name) && typeof value === 'number' ? [name, value - DATED + now] : [name, value],
  )
  return JSON.stringify(Object.fromEntries(dates))
}

async function withRpFor(
  shape: Shape,
  provider: Partial<ProviderOptions>,
  test: (rp: Rp, deliver: (payload?: string) => Promise<Answer>) => Promise<void>,
): Promise<void> {
  const mint = await mintOf(shape)
  const options = { issuer: mint.issuer, clientId: mint.clientId }
  const encryption = encryptionOf(shape)
  await withRp({ ...options, provider: { ...provider, jwks: keysOf(shape, mint) } }, (rp) =>
    test(rp, async (rawPayload = redated(shape, rp.clock())) =>
      rp.deliver(
        await mint.logoutToken({
          rawHeader: JSON.stringify(shape.header),
          rawPayload,
          ...(encryption && { encrypt: { ...encryption, key: RP_KEYS[encryption.alg].public } }),
        }),
      ),
    ),
  )
}

/** The user of the token on the device of the token and on another one, and somebody else. */
async function signIn(rp: Rp, { payload, needs }: Shape): Promise<void> {
  const sub = typeof payload.sub === 'string' ? payload.sub : 'a subject that the token does not name'
  const sidIsInIdTokens = typeof payload.sid === 'string' && !needs.some((need) => NEEDS_IGNORED_SID.test(need))
  const idToken = (sub: string, sid: unknown) => ({ ...rp.mint.idTokenClaims({ sub }), sid })
  await rp.signIn('this device', idToken(sub, sidIsInIdTokens ? payload.sid : 'this session'))
  await rp.signIn('another device', idToken(sub, 'another session'))
  await rp.signIn('another user', idToken('another subject', 'a third session'))
  rp.clock.advance(3600)
}

const EVERYBODY = ['this device', 'another device', 'another user']

function survivorsOf({ payload, needs }: Shape): string[] {
  const bySid = typeof payload.sid === 'string' && !needs.some((need) => NEEDS_IGNORED_SID.test(need))
  return bySid ? ['another device', 'another user'] : ['another user']
}

describe.each(SHAPES)('$provider $version', (shape) => {
  it('is taken with its preset and ends the right sessions', () =>
    withRpFor(shape, configured(shape), async (rp, deliver) => {
      await signIn(rp, shape)
      expectLoggedOut(await deliver())
      expect(await rp.alive()).toEqual(survivorsOf(shape))
      expect(rp.eventsOf('refused')).toEqual([])
    }))

  const believed = shape.needs.filter((need) => !NEEDS_IGNORED_SID.test(need))
  it.each(believed)('needs an option and says which: %s', (need) =>
    withRpFor(shape, {}, async (rp, deliver) => {
      const expected = OPTION_OF_NEED.find((known) => known.need.test(need))
      if (expected === undefined) throw new Error(`no option is known for: ${need}`)
      await signIn(rp, shape)
      expectRefusal(await deliver(), 400, 'invalid_request')
      const { option, reason } = expected
      expect(rp.eventsOf('refused')).toMatchObject([{ error: { code: 'ERR_TOKEN', reason, option } }])
      expect(await rp.alive()).toEqual(EVERYBODY)
    }),
  )

  if (shape.needs.length > 0) return
  it('is the letter of the specification: taken without any option', () =>
    withRpFor(shape, {}, async (rp, deliver) => {
      await signIn(rp, shape)
      expectLoggedOut(await deliver())
      expect(await rp.alive()).toEqual(survivorsOf(shape))
    }))
})

describe('the data', () => {
  it('has a preset or none for each, and each preset has a shape', () => {
    const used = new Set(SHAPES.map(presetOf))
    for (const name of Object.values(PRESET_OF)) expect(used).toContain(name)
  })

  it('is dated as the tests take it to be dated', () => {
    for (const { payload } of SHAPES) expect(Math.abs(Number(payload.iat) - DATED)).toBeLessThanOrEqual(1)
  })
})

describe('beyond the shapes', () => {
  const named = (beginning: string) => {
    const shape = SHAPES.find(({ provider }) => provider.startsWith(beginning))
    if (shape === undefined) throw new Error(`there is no shape of ${beginning}`)
    return shape
  }

  it("takes Auth0's 25 entries of session metadata, a body of about 17 KB", () => {
    const auth0 = named('Auth0')
    return withRpFor(auth0, preset('auth0'), async (rp, deliver) => {
      await signIn(rp, auth0)
      const entries = Array.from({ length: 25 }, (_, i) => [`${i}`.padEnd(255, 'k'), 'v'.repeat(255)])
      const claims = { ...JSON.parse(redated(auth0, rp.clock())), session_metadata: Object.fromEntries(entries) }
      expectLoggedOut(await deliver(JSON.stringify(claims)))
      expect(await rp.alive()).toEqual(survivorsOf(auth0))
    })
  })

  it("Casdoor's sid ends nothing unless it is ignored", () => {
    const casdoor = named('Casdoor')
    return withRpFor(casdoor, { allowMissingExp: true }, async (rp, deliver) => {
      await signIn(rp, casdoor)
      expectLoggedOut(await deliver())
      expect(await rp.alive()).toEqual(EVERYBODY)
    })
  })

  it("refuses Casdoor's issuer of no host", () => {
    const casdoor = named('Casdoor')
    return withRpFor(casdoor, preset('casdoor'), async (rp, deliver) => {
      await signIn(rp, casdoor)
      const claims = { ...JSON.parse(redated(casdoor, rp.clock())), iss: 'http://' }
      expectRefusal(await deliver(JSON.stringify(claims)), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(EVERYBODY)
    })
  })

  it("refuses Duende's early mistake, an iss that reads logout_token", () => {
    const duende = named('Duende IdentityServer')
    return withRpFor(duende, preset('duende'), async (rp, deliver) => {
      await signIn(rp, duende)
      const claims = { ...JSON.parse(redated(duende, rp.clock())), iss: 'logout_token' }
      expectRefusal(await deliver(JSON.stringify(claims)), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(EVERYBODY)
    })
  })
})
