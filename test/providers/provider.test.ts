import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { logoutPolicy } from '../../src/providers/logout-policy.js'
import { resolveProvider } from '../../src/providers/provider.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { CLIENT_ID, ISSUER, mintOf } from '../tokens/verifying.js'

const MINIMAL = { issuer: ISSUER, clientId: CLIENT_ID }
const clock = () => 0

/** As a caller without types would. */
function resolve(options: unknown) {
  return resolveProvider(options as ProviderOptions, clock)
}

const with_ = (options: Readonly<Record<string, unknown>>) => () => resolve({ ...MINIMAL, ...options })
const PRIVATE_KEY = { kty: 'RSA', n: 'n', e: 'AQAB', d: 'd' }
const DECRYPTION = {
  keys: [PRIVATE_KEY],
  keyManagementAlgorithms: ['RSA-OAEP-256'],
  contentEncryptionAlgorithms: ['A256GCM'],
}

describe('defaults', () => {
  it('are the letter of the specification', () => {
    const { keys, ...rules } = resolve(MINIMAL)
    expect(rules).toEqual({
      policy: logoutPolicy(),
      client: MINIMAL,
      protocol: 'oidc',
      algorithms: ['RS256'],
      typ: 'interop',
      additionalTyp: [],
      allowMissingExp: false,
      maxAgeSeconds: 300,
      clockToleranceSeconds: 60,
      backchannelLogoutSessionRequired: false,
      trustedAudiences: [],
      ignoreSid: false,
      replay: 'refuse',
      transientFailureStatus: 400,
      decryption: undefined,
      endSession: {},
      dangerouslyAllowHttp: false,
    })
  })

  it('stand for options given as undefined', () => {
    expect(with_({ algorithms: undefined, maxAgeSeconds: undefined, decryption: undefined })().algorithms).toEqual([
      'RS256',
    ])
  })
})

describe('a resolved provider', () => {
  it('is frozen, and later changes of the options do not reach it', () => {
    const algorithms = ['RS256']
    const provider = resolve({ ...MINIMAL, algorithms, decryption: DECRYPTION })
    algorithms.push('HS256')
    expect(provider.algorithms).toEqual(['RS256'])
    expect([provider, provider.client, provider.algorithms, provider.decryption].every(Object.isFrozen)).toBe(true)
  })

  it('shows no secret to whoever prints it', () => {
    const provider = resolve({
      ...MINIMAL,
      algorithms: ['HS256'],
      clientSecret: 'the-client-secret',
      clientAuthentication: { method: 'client_secret_basic', clientSecret: 'the-secret-at-the-endpoint' },
      decryption: { ...DECRYPTION, keys: [{ ...PRIVATE_KEY, d: 'the-private-exponent' }] },
    })
    const printed =
      JSON.stringify(provider) +
      String(Object.values(provider.keys)) +
      inspect(provider, { depth: null, showHidden: true })
    expect(printed).not.toContain('the-client-secret')
    expect(printed).not.toContain('the-private-exponent')
    expect(printed).not.toContain('the-secret-at-the-endpoint')
  })
})

describe('misuse', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /provider must be an object/],
    ['a string', ISSUER, /provider must be an object/],
    ['no issuer', { clientId: CLIENT_ID }, /issuer must be a non-empty string/],
    ['no clientId', { issuer: ISSUER }, /clientId must be a non-empty string/],
    ['an empty clientId', { issuer: ISSUER, clientId: '' }, /clientId must be a non-empty string/],
  ])('%s', (_, options, message) => {
    expect(() => resolve(options)).toThrow(message)
    expect(() => resolve(options)).toThrow(TypeError)
  })

  it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ['an unknown option', { audience: 'x' }, /no option "audience": it appears you mean trustedAudiences/],
    ['an option in snake case', { client_secret: 'x' }, /no option "client_secret": it appears you mean clientSecret/],
    ['an option in other case', { jwksURI: 'x' }, /it appears you mean jwksUri/],
    ['an issuer that is no URL', { issuer: 'op.example.com' }, /issuer: it must be an absolute URL/],
    ['an http issuer', { issuer: 'http://op.example.com' }, /issuer: it must be an https URL.*dangerouslyAllowHttp/],
    [
      'an issuer of another scheme',
      { issuer: 'ftp://op.example.com', dangerouslyAllowHttp: true },
      /must be an https URL/,
    ],
    ['an http issuer that looks like loopback', { issuer: 'http://127.0.0.1.example.com' }, /must be an https URL/],
    ['an http issuer with loopback as user', { issuer: 'http://127.0.0.1@op.example.com' }, /user name or password/],
    ['an issuer with a query', { issuer: `${ISSUER}/?tenant=1` }, /query or fragment/],
    ['an issuer with a fragment', { issuer: `${ISSUER}/#` }, /query or fragment/],
    ['an issuer with a space', { issuer: ` ${ISSUER}` }, /absolute URL/],
    ['a metadata URL', { issuer: `${ISSUER}/.well-known/openid-configuration` }, /leave out \/\.well-known\//],
    ['algorithm none', { algorithms: ['RS256', 'none'] }, /has none: .* leave it out/],
    ['algorithm None', { algorithms: ['None'] }, /has none/],
    ['an algorithm in lower case', { algorithms: ['rs256'] }, /"rs256".*case matters/],
    ['an unknown algorithm', { algorithms: ['RSA1_5'] }, /"RSA1_5", which is not one of RS256/],
    ['no algorithms', { algorithms: [] }, /at least one/],
    ['algorithms as a string', { algorithms: 'RS256' }, /array of non-empty strings/],
    ['HMAC without secret', { algorithms: ['RS256', 'HS256'] }, /needs the option clientSecret/],
    ['an empty secret', { algorithms: ['HS256'], clientSecret: '' }, /clientSecret must be a non-empty string/],
    ['an http jwksUri', { jwksUri: 'http://op.example.com/jwks' }, /jwksUri: it must be an https URL/],
    ['jwksUri and jwks', { jwksUri: `${ISSUER}/jwks`, jwks: { keys: [{ kty: 'RSA' }] } }, /exclude each other/],
    ['jwks as an array', { jwks: [{ kty: 'RSA' }] }, /JSON Web Key Set/],
    ['jwks without keys', { jwks: { keys: [] } }, /JSON Web Key Set/],
    ['jwks with a private key', { jwks: { keys: [PRIVATE_KEY] } }, /private or symmetric/],
    ['jwks with a secret', { jwks: { keys: [{ kty: 'oct', k: 'AA' }] } }, /private or symmetric/],
    ['an unknown typ profile', { typ: 'lax' }, /typ must be one of "interop", "strict"/],
    ['additionalTyp as a string', { additionalTyp: 'at+jwt' }, /array of non-empty strings/],
    ['a flag as a string', { allowMissingExp: 'false' }, /allowMissingExp must be true or false/],
    ['a flag as null', { ignoreSid: null }, /ignoreSid must be true or false/],
    ['an age of none', { maxAgeSeconds: 0 }, /maxAgeSeconds must be a number of seconds/],
    ['an age in milliseconds', { maxAgeSeconds: 300_000 }, /not milliseconds/],
    ['an age that is no number', { maxAgeSeconds: Number.NaN }, /maxAgeSeconds must be/],
    ['a negative tolerance', { clockToleranceSeconds: -1 }, /clockToleranceSeconds must be/],
    ['an infinite tolerance', { clockToleranceSeconds: Number.POSITIVE_INFINITY }, /clockToleranceSeconds must be/],
    ['no request timeout', { requestTimeoutSeconds: 0 }, /requestTimeoutSeconds must be/],
    ['an unknown replay', { replay: 'ignore' }, /replay must be one of/],
    ['another status', { transientFailureStatus: 500 }, /transientFailureStatus must be one of 400, 503/],
    [
      'ignoreSid with a required sid',
      { ignoreSid: true, backchannelLogoutSessionRequired: true },
      /leave one of them out/,
    ],
    ['decryption without keys', { decryption: { ...DECRYPTION, keys: [] } }, /decryption\.keys must be/],
    ['decryption by a public key', { decryption: { ...DECRYPTION, keys: [{ kty: 'RSA' }] } }, /holds a public key/],
    ['decryption of any algorithm', { decryption: { keys: [PRIVATE_KEY] } }, /keyManagementAlgorithms must name/],
    ['decryption by RSA1_5', { decryption: { ...DECRYPTION, keyManagementAlgorithms: ['RSA1_5'] } }, /"RSA1_5"/],
    [
      'decryption with an unknown option',
      { decryption: { ...DECRYPTION, alg: 'dir' } },
      /decryption has no option "alg"/,
    ],
  ])('%s', (_, options, message) => {
    expect(with_(options)).toThrow(message)
    expect(with_(options)).toThrow(TypeError)
  })

  it('never prints a value that may be secret', () => {
    expect(with_({ clientSecret: ['s3cret'] })).toThrow(expect.not.stringContaining('s3cret'))
  })
})

describe('what is taken', () => {
  it.each([
    ['http on loopback IPv4', { issuer: 'http://127.0.0.1:3000' }],
    ['http on loopback IPv6', { issuer: 'http://[::1]:3000/realms/demo' }],
    ['http on localhost', { issuer: 'http://localhost:3000/' }],
    ['http anywhere, if said so', { issuer: 'http://op.internal', dangerouslyAllowHttp: true }],
    ['an issuer with port and path', { issuer: 'https://am.example.com:443/am/oauth2/realms/root/realms/alpha' }],
    ['an issuer with a final slash', { issuer: 'https://tenant.eu.auth0.example/' }],
    ['a client secret where nothing needs it', { clientSecret: 'x' }],
    ['a tolerance of nothing', { clockToleranceSeconds: 0 }],
  ])('%s', (_, options) => {
    expect(with_(options)().client).toEqual({ ...MINIMAL, ...('issuer' in options ? { issuer: options.issuer } : {}) })
  })

  it('a public key set as an OP publishes it', async () => {
    const { jwks } = await mintOf()
    expect(with_({ jwks })().client).toEqual(MINIMAL)
  })
})
