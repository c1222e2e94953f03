// Every rule for a Logout Token (BCL 2.4, 2.6): a valid token and one change, through HTTP to the sessions. Each
// refusal is followed by the unchanged token, which does end its session.
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ProviderOptions } from '../../src/index.js'
import {
  BACKCHANNEL_LOGOUT_EVENT,
  type Change,
  createTokenMint,
  DEFECTS,
  type Defect,
  mintKeys,
} from '../../src/testing/index.js'
import {
  ALL_BUT_ALICES_LAPTOP,
  BOB_ALONE,
  EVERYBODY,
  expectLoggedOut,
  expectNothingDied,
  expectRefusal,
  type Rp,
  type RpOptions,
  withRp,
} from './rp.js'

interface Because {
  readonly reason: string
  readonly claim?: string
  readonly option?: string
}

type ChangeFor = Change | ((rp: Rp) => Change)

interface Refused extends Because {
  readonly name: string
  readonly change: ChangeFor
  readonly provider?: Partial<ProviderOptions>
  /** What the control must change as well, where a stricter option refuses the plain valid token. */
  readonly control?: Change
}

interface Taken {
  readonly name: string
  readonly change: ChangeFor
  readonly provider?: Partial<ProviderOptions>
  /** Default: all but Alice's laptop, which is what the unchanged token names. */
  readonly alive?: readonly string[]
}

const changeFor = (change: ChangeFor, rp: Rp): Change => (typeof change === 'function' ? change(rp) : change)

/** The event says by which rule, in words that hold nothing of the token; and there is one event, not several. */
function expectReported(rp: Rp, { reason, claim, option }: Because): void {
  const [refused, ...more] = rp.eventsOf('refused')
  expect(more).toEqual([])
  expect(refused).toMatchObject({ status: 400, error: { code: 'ERR_TOKEN', reason } })
  expect({ claim: refused?.error.claim, option: refused?.error.option }).toEqual({ claim, option })
  expect(refused?.error.message).toMatch(/^[A-Z][A-Za-z0-9 ,-]+$/)
  for (const value of ['alice', 'laptop', 'example']) expect(refused?.error.message).not.toContain(value)
}

async function refuses({ change, provider = {}, control, ...because }: Refused, options: RpOptions = {}) {
  await withRp({ ...options, provider }, async (rp) => {
    await rp.signInEverybody()
    expectRefusal(await rp.deliverChanged(changeFor(change, rp)), 400, 'invalid_request')
    expectReported(rp, because)
    await expectNothingDied(rp, control)
  })
}

async function takes({ change, provider = {}, alive = ALL_BUT_ALICES_LAPTOP }: Taken, options: RpOptions = {}) {
  await withRp({ ...options, provider }, async (rp) => {
    await rp.signInEverybody()
    expectLoggedOut(await rp.deliverChanged(changeFor(change, rp)))
    expect(await rp.alive()).toEqual(alive)
    expect(rp.eventsOf('refused')).toEqual([])
  })
}

const because = (reason: string, claim?: string, option?: string): Because => ({
  reason,
  ...(claim === undefined ? {} : { claim }),
  ...(option === undefined ? {} : { option }),
})

/** Every defect of the testing kit, and by which rule this receiver refuses it. */
const DEFECT_REASONS: Readonly<Record<Defect, Because>> = {
  'alg-none': because('alg_none', 'alg'),
  'alg-none-with-signature': because('alg_none', 'alg'),
  'alg-absent': because('alg_missing', 'alg'),
  'alg-wrong-case': because('alg_not_allowed', 'alg', 'algorithms'),
  'alg-of-another-published-key': because('alg_not_allowed', 'alg', 'algorithms'),
  'public-key-as-secret': because('alg_not_allowed', 'alg', 'algorithms'),
  'signature-of-foreign-key': because('signature_invalid'),
  'signature-removed': because('signature_invalid'),
  'signature-garbled': because('signature_invalid'),
  'payload-swapped': because('signature_invalid'),
  'key-in-header': because('signature_invalid'),
  'crit-unknown': because('crit_unsupported', 'crit'),
  'typ-access-token': because('typ_refused', 'typ', 'additionalTyp'),
  'typ-security-event': because('typ_refused', 'typ', 'additionalTyp'),
  'typ-dpop': because('typ_refused', 'typ', 'additionalTyp'),
  'typ-not-a-string': because('typ_invalid', 'typ'),
  'payload-not-json': because('payload_invalid'),
  'payload-not-an-object': because('payload_invalid'),
  'payload-not-utf8': because('payload_invalid'),
  'iss-absent': because('iss_missing', 'iss'),
  'iss-of-another': because('iss_unknown', 'iss'),
  'iss-with-trailing-slash': because('iss_unknown', 'iss'),
  'iss-not-a-string': because('iss_missing', 'iss'),
  'aud-absent': because('aud_missing', 'aud'),
  'aud-of-another': because('aud_mismatch', 'aud'),
  'aud-empty-array': because('aud_mismatch', 'aud'),
  'aud-with-untrusted-audience': because('aud_untrusted', 'aud', 'trustedAudiences'),
  'aud-not-strings': because('aud_invalid', 'aud'),
  'azp-of-another': because('azp_mismatch', 'azp'),
  'iat-absent': because('iat_missing', 'iat'),
  'iat-not-a-number': because('iat_invalid', 'iat'),
  'iat-in-the-future': because('iat_in_future', 'iat', 'clockToleranceSeconds'),
  'iat-too-old': because('too_old', 'iat', 'maxAgeSeconds'),
  'exp-absent': because('exp_missing', 'exp', 'allowMissingExp'),
  'exp-passed': because('exp_past', 'exp', 'clockToleranceSeconds'),
  'exp-not-a-number': because('exp_invalid', 'exp'),
  'exp-not-finite': because('exp_invalid', 'exp'),
  'nbf-in-the-future': because('nbf_in_future', 'nbf', 'clockToleranceSeconds'),
  'nbf-not-a-number': because('nbf_invalid', 'nbf'),
  'sub-and-sid-absent': because('target_missing', 'sub'),
  'sub-and-sid-null': because('target_missing', 'sub'),
  'sub-empty': because('sub_invalid', 'sub'),
  'sub-not-a-string': because('sub_invalid', 'sub'),
  'sub-too-long': because('sub_invalid', 'sub'),
  'sub-with-control-character': because('sub_invalid', 'sub'),
  'sid-empty': because('sid_invalid', 'sid'),
  'sid-not-a-string': because('sid_invalid', 'sid'),
  'sid-too-long': because('sid_invalid', 'sid'),
  'sid-with-control-character': because('sid_invalid', 'sid'),
  'events-absent': because('events_missing', 'events'),
  'events-null': because('events_invalid', 'events'),
  'events-empty': because('event_missing', 'events'),
  'events-an-array': because('events_invalid', 'events'),
  'events-a-string': because('events_invalid', 'events'),
  'events-of-another-kind': because('event_missing', 'events'),
  'event-null': because('event_invalid', 'events'),
  'event-an-array': because('event_invalid', 'events'),
  'event-true': because('event_invalid', 'events'),
  'event-in-prototype-member': because('event_missing', 'events'),
  nonce: because('nonce_present', 'nonce'),
  'nonce-null': because('nonce_present', 'nonce'),
  'nonce-empty': because('nonce_present', 'nonce'),
  'jti-absent': because('jti_missing', 'jti'),
  'jti-empty': because('jti_invalid', 'jti'),
  'jti-not-a-string': because('jti_invalid', 'jti'),
}

describe('named defects', () => {
  it.each(DEFECTS)('$name is refused ($rule)', ({ name }) =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await rp.deliver(await rp.mint.defective(name)), 400, 'invalid_request')
      expectReported(rp, DEFECT_REASONS[name])
      await expectNothingDied(rp)
    }),
  )
})

describe('segments and header', () => {
  const refused: readonly Refused[] = [
    { name: 'two segments', change: { segments: (s) => s.slice(0, 2) }, ...because('token_malformed') },
    { name: 'four segments', change: { segments: (s) => [...s, 'e30'] }, ...because('token_malformed') },
    { name: 'six segments', change: { segments: (s) => [...s, ...s] }, ...because('token_malformed') },
    {
      name: 'a padded segment',
      change: { segments: ([h = '', p = '', s = '']) => [h, p, `${s}==`] },
      ...because('token_malformed'),
    },
    {
      name: 'standard base64',
      change: { segments: ([h = '', p = '', s = '']) => [h, p, `+${s.slice(1)}`] },
      ...because('token_malformed'),
    },
    {
      name: 'a line break in a segment',
      change: { segments: ([h = '', p = '', s = '']) => [h, p, `${s}\r\n`] },
      ...because('token_malformed'),
    },
    {
      name: 'a space in front',
      change: { segments: ([h = '', ...s]) => [` ${h}`, ...s] },
      ...because('token_malformed'),
    },
    { name: 'an empty header', change: { segments: ([, ...s]) => ['', ...s] }, ...because('header_invalid') },
    { name: 'a header that is not JSON', change: { rawHeader: 'RS256' }, ...because('header_invalid') },
    { name: 'a header that is an array', change: { rawHeader: '["RS256"]' }, ...because('header_invalid') },
    {
      name: 'a header that is not UTF-8',
      change: { rawHeader: Buffer.from('{"alg":"RS256","x":"\xff"}', 'latin1') },
      ...because('header_invalid'),
    },
    {
      name: 'alg none in another case',
      change: { header: { alg: 'nOnE' }, segments: ([h = '', p = '']) => [h, p, ''] },
      ...because('alg_none', 'alg'),
    },
    { name: 'alg null', change: { header: { alg: null } }, ...because('alg_missing', 'alg') },
    {
      name: 'another algorithm of the very same key',
      change: { algorithm: 'PS256' },
      ...because('alg_not_allowed', 'alg', 'algorithms'),
    },
    {
      name: 'HMAC by the client secret, where RS256 is registered',
      change: { signer: 'client-secret' },
      ...because('alg_not_allowed', 'alg', 'algorithms'),
    },
    { name: 'crit empty', change: { header: { crit: [] } }, ...because('crit_unsupported', 'crit') },
    {
      name: 'crit of a known extension (RFC 7797)',
      change: { header: { crit: ['b64'], b64: true } },
      ...because('crit_unsupported', 'crit'),
    },
    { name: 'kid not a string', change: { header: { kid: 1 } }, ...because('kid_invalid', 'kid') },
    {
      name: 'a key location in the header',
      change: { signer: 'foreign', header: { jku: 'http://127.0.0.1:1/jwks', x5u: 'http://127.0.0.1:1/cert' } },
      ...because('signature_invalid'),
    },
  ]
  it.each(refused)('refuses $name', (row) => refuses(row))

  const taken: readonly Taken[] = [
    { name: 'key locations, without following them', change: { header: { jku: 'http://127.0.0.1:1/jwks', x5t: 'x' } } },
    {
      name: 'another algorithm that is configured',
      change: { algorithm: 'PS256' },
      provider: { algorithms: ['RS256', 'PS256'] },
    },
  ]
  it.each(taken)('takes $name', (row) => takes(row))

  it('refuses the algorithm before it looks for a key', () =>
    withRp({}, async (rp) => {
      await rp.deliverChanged({ signer: 'other-published', header: { kid: 'no-such-key' } })
      expectReported(rp, because('alg_not_allowed', 'alg', 'algorithms'))
    }))
})

describe('typ', () => {
  const interop = [undefined, 'JWT', 'jwt', 'Jwt', 'logout+jwt', 'LOGOUT+JWT', 'application/logout+jwt']
  it.each(interop)('interop takes %j', (typ) => takes({ name: '', change: { header: { typ } } }))

  const others = ['', 'JWS', 'JOSE', 'at+jwt', 'application/at+jwt', 'secevent+jwt', 'id_token+jwt', 'logout+jwt ']
  it.each(others)('interop refuses %j', (typ) =>
    refuses({ name: '', change: { header: { typ } }, ...because('typ_refused', 'typ', 'additionalTyp') }),
  )
  it.each([null, true, ['logout+jwt'], { typ: 'logout+jwt' }])('interop refuses %j, which is no string', (typ) =>
    refuses({ name: '', change: { header: { typ } }, ...because('typ_invalid', 'typ') }),
  )

  const strict = { typ: 'strict' } as const
  it.each(['logout+jwt', 'application/logout+jwt', 'Logout+JWT'])('strict takes %j', (typ) =>
    takes({ name: '', change: { header: { typ } }, provider: strict }),
  )
  it('strict refuses an absent typ', () =>
    refuses({
      name: '',
      change: { header: { typ: undefined } },
      provider: strict,
      ...because('typ_missing', 'typ', 'typ'),
    }))
  it('strict refuses JWT', () =>
    refuses({
      name: '',
      change: { header: { typ: 'JWT' } },
      provider: strict,
      ...because('typ_refused', 'typ', 'typ'),
    }))

  it('takes a further typ that the provider is said to send, in any case', () =>
    takes({ name: '', change: { header: { typ: 'AT+jwt' } }, provider: { additionalTyp: ['at+jwt'] } }))
})

describe('provider', () => {
  const near = (rp: Rp): string[] => [
    rp.mint.issuer.toUpperCase(),
    `${rp.mint.issuer}:443`,
    `${rp.mint.issuer}/.`,
    rp.mint.issuer.replace('https', 'http'),
    ` ${rp.mint.issuer}`,
  ]
  it.each([0, 1, 2, 3, 4])('refuses an issuer that is merely equivalent (%i)', (i) =>
    refuses({ name: '', change: (rp) => ({ payload: { iss: near(rp)[i] } }), ...because('iss_unknown', 'iss') }),
  )

  it('never verifies the token of one provider by the keys of another', async () => {
    const other = await createTokenMint({
      issuer: 'https://other.example.com',
      clientId: 'rp',
      keys: await mintKeys('RS256', 'the other provider'),
    })
    await withRp({ issuer: 'https://op.example.com' }, async (rp) => {
      await rp.signInEverybody()
      // By the other's keys in the name of the first: the other knows every claim, and its kid can be whatever it
      // likes.
      const kid = JSON.parse(Buffer.from((await rp.mint.logoutToken()).split('.')[0] ?? '', 'base64url').toString()).kid
      for (const header of [{}, { kid }, { kid: undefined }]) {
        const { sub, sid } = { sub: 'alice', sid: 'alice-laptop' }
        const times = { iat: rp.clock(), exp: rp.clock() + 120 }
        const forged = await other.logoutToken({ header, payload: { iss: rp.mint.issuer, sub, sid, ...times } })
        expectRefusal(await rp.deliver(forged), 400, 'invalid_request')
      }
      expect(rp.eventsOf('refused').map(({ error }) => error.reason)).toEqual([
        'key_unknown',
        'signature_invalid',
        'signature_invalid',
      ])
      await expectNothingDied(rp)
    })
  })
})

describe('encryption', () => {
  let recipient: { readonly publicJwk: JWK; readonly privateJwk: JWK }
  let stranger: JWK
  beforeAll(async () => {
    const pair = await generateKeyPair('RSA-OAEP-256', { extractable: true })
    recipient = {
      publicJwk: { ...(await exportJWK(pair.publicKey)), kid: 'rp-enc' },
      privateJwk: { ...(await exportJWK(pair.privateKey)), kid: 'rp-enc' },
    }
    stranger = await exportJWK((await generateKeyPair('RSA-OAEP-256', { extractable: true })).publicKey)
  })
  const decrypting = (more: Partial<NonNullable<ProviderOptions['decryption']>> = {}): Partial<ProviderOptions> => ({
    decryption: {
      keys: [recipient.privateJwk],
      keyManagementAlgorithms: ['RSA-OAEP-256'],
      contentEncryptionAlgorithms: ['A256GCM'],
      ...more,
    },
  })
  const encrypted = (more: Partial<NonNullable<Change['encrypt']>> = {}): Change => ({
    encrypt: { key: recipient.publicJwk, ...more },
  })

  it('takes a nested token', () => takes({ name: '', change: () => encrypted(), provider: decrypting() }))
  it('takes a header iss that is the inner one', () =>
    takes({ name: '', change: (rp) => encrypted({ header: { iss: rp.mint.issuer } }), provider: decrypting() }))
  it('takes a plain token only if the option says so', () =>
    takes({ name: '', change: {}, provider: decrypting({ allowPlainJws: true }) }))

  const refused: readonly { readonly name: string; readonly change: () => Change; readonly why: Because }[] = [
    {
      name: 'a token that is only signed',
      change: () => ({}),
      why: because('encryption_required', undefined, 'decryption.allowPlainJws'),
    },
    {
      name: 'claims that nobody signed',
      change: () => encrypted({ unsigned: true }),
      why: because('nested_not_signed'),
    },
    {
      name: 'claims signed by alg none',
      change: () => ({ ...encrypted(), signer: 'nobody' }),
      why: because('alg_none', 'alg'),
    },
    {
      name: 'another key management algorithm',
      change: () => encrypted({ alg: 'RSA-OAEP-512' }),
      why: because('encryption_alg_not_allowed', 'alg', 'decryption'),
    },
    {
      name: 'another content encryption algorithm',
      change: () => encrypted({ enc: 'A128GCM' }),
      why: because('encryption_alg_not_allowed', 'alg', 'decryption'),
    },
    {
      name: 'a key of somebody else',
      change: () => encrypted({ key: { ...stranger, kid: 'rp-enc' } }),
      why: because('decryption_failed'),
    },
    {
      name: 'a header iss that is not the inner one',
      change: () => ({
        ...encrypted({ header: { iss: 'https://op.example.com' } }),
        payload: { iss: 'https://op.example.com/' },
      }),
      why: because('nested_iss_mismatch', 'iss'),
    },
    {
      name: 'a header iss that is no provider of ours',
      change: () => encrypted({ header: { iss: 'https://op.example.com/' } }),
      why: because('iss_unknown', 'iss'),
    },
    {
      name: 'a nested token of the wrong key',
      change: () => ({ ...encrypted(), signer: 'foreign' }),
      why: because('signature_invalid'),
    },
    {
      name: 'a content type of another kind',
      change: () => encrypted({ header: { cty: 'json' } }),
      why: because('cty_invalid', 'cty'),
    },
  ]
  it.each(refused)('refuses $name', ({ change, why }) =>
    refuses({ name: '', change: change(), provider: decrypting(), control: encrypted(), ...why }),
  )

  it('refuses compression', () =>
    refuses({
      name: '',
      // jose would not write it; the protected header alone is what must be refused, before anything is decrypted.
      change: {
        ...encrypted(),
        segments: ([header = '', ...rest]) => [
          Buffer.from(
            JSON.stringify({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), zip: 'DEF' }),
          ).toString('base64url'),
          ...rest,
        ],
      },
      provider: decrypting(),
      control: encrypted(),
      ...because('zip_refused', 'zip'),
    }))

  it('refuses a password count that would keep us busy', async () => {
    const password = Buffer.from('a password that both sides know')
    const pbes = { alg: 'PBES2-HS256+A128KW', key: new Uint8Array(password) }
    await refuses({
      name: '',
      change: {
        encrypt: pbes,
        segments: ([header = '', ...rest]) => [
          Buffer.from(
            JSON.stringify({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), p2c: 2_000_000_000 }),
          ).toString('base64url'),
          ...rest,
        ],
      },
      provider: {
        decryption: {
          keys: [{ kty: 'oct', k: password.toString('base64url') }],
          keyManagementAlgorithms: ['PBES2-HS256+A128KW'],
          contentEncryptionAlgorithms: ['A256GCM'],
        },
      },
      control: { encrypt: pbes },
      ...because('p2c_too_large', 'p2c'),
    })
  })

  it('refuses an encrypted token where no decryption is configured', () =>
    refuses({ name: '', change: encrypted(), ...because('encryption_not_configured', undefined, 'decryption') }))
})

describe('signature', () => {
  it('refuses an unknown kid', () =>
    refuses({ name: '', change: { header: { kid: 'no-such-key' } }, ...because('key_unknown', 'kid') }))
  it('refuses the kid of the encryption key', () =>
    refuses({ name: '', change: { header: { kid: 'encryption' } }, ...because('key_unknown', 'kid') }))
  it('takes no kid where exactly one key of the algorithm fits', () =>
    takes({ name: '', change: { header: { kid: undefined } } }))
  it('refuses no kid where two keys of the algorithm fit', async () => {
    const { jwks } = await createTokenMint({
      issuer: 'https://op.example.com',
      clientId: 'rp',
      keys: await mintKeys('RS256'),
    })
    const second = (await mintKeys('RS256', 'second')).published.at(-1)
    const keys = second === undefined ? [] : [...jwks.keys, second]
    await refuses({
      name: '',
      change: { header: { kid: undefined } },
      provider: { jwks: { keys } },
      ...because('kid_missing_ambiguous', 'kid'),
    })
  })

  it.each(['RS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const)(
    'takes %s where registered',
    (algorithm) => takes({ name: '', change: {} }, { algorithm }),
  )

  describe('by the client secret', () => {
    it.each(['HS256', 'HS384', 'HS512'] as const)('takes %s where registered', (algorithm) =>
      takes({ name: '', change: {} }, { algorithm }),
    )
    it('refuses another HMAC length', () =>
      refuses(
        { name: '', change: { algorithm: 'HS512' }, ...because('alg_not_allowed', 'alg', 'algorithms') },
        { algorithm: 'HS256' },
      ))
    it('refuses several audiences, even trusted ones', () =>
      refuses(
        {
          name: '',
          change: { payload: { aud: ['rp', 'friend'] } },
          provider: { trustedAudiences: ['friend'] },
          ...because('aud_not_single', 'aud'),
        },
        { algorithm: 'HS256' },
      ))
    it('never takes a public key for the secret, also where both kinds of algorithm are allowed', () =>
      refuses(
        {
          name: '',
          change: { signer: 'public-key-as-secret' },
          provider: { algorithms: ['HS256', 'RS256'] },
          ...because('signature_invalid'),
        },
        { algorithm: 'HS256' },
      ))
  })
})

describe('iss, aud, iat, exp', () => {
  const at =
    (payload: (now: number) => Record<string, unknown>): ChangeFor =>
    (rp) => ({ payload: payload(rp.clock()) })
  const taken: readonly Taken[] = [
    { name: 'aud as an array of one', change: { payload: { aud: ['rp'] } } },
    {
      name: 'a further audience that is trusted',
      change: { payload: { aud: ['friend', 'rp'] } },
      provider: { trustedAudiences: ['friend'] },
    },
    { name: 'azp that is the client', change: { payload: { azp: 'rp' } } },
    { name: 'fractions of seconds', change: at((now) => ({ iat: now - 0.5, exp: now + 119.25, nbf: now - 0.5 })) },
    { name: 'iat ahead by the tolerance', change: at((now) => ({ iat: now + 60, exp: now + 180 })) },
    { name: 'exp passed by less than the tolerance', change: at((now) => ({ iat: now - 100, exp: now - 59 })) },
    { name: 'a life of an hour', change: at((now) => ({ exp: now + 3600 })) },
    { name: 'a life of ten years', change: at((now) => ({ exp: now + 315_360_000 })) },
    { name: 'an age of 300 seconds', change: at((now) => ({ iat: now - 300, exp: now + 600 })) },
    { name: 'nbf equal to iat, on a clock ahead of ours', change: at((now) => ({ iat: now + 2, nbf: now + 2 })) },
    {
      name: 'no exp, with the option for it',
      change: { payload: { exp: undefined } },
      provider: { allowMissingExp: true },
    },
    {
      name: 'a wider clock tolerance',
      change: at((now) => ({ iat: now + 100, exp: now + 220 })),
      provider: { clockToleranceSeconds: 120 },
    },
    {
      name: 'a greater age',
      change: at((now) => ({ iat: now - 900, exp: now + 1 })),
      provider: { maxAgeSeconds: 1000 },
    },
  ]
  it.each(taken)('takes $name', (row) => takes(row))

  const refused: readonly Refused[] = [
    {
      name: 'iat ahead by more than the tolerance',
      change: at((now) => ({ iat: now + 61, exp: now + 180 })),
      ...because('iat_in_future', 'iat', 'clockToleranceSeconds'),
    },
    {
      name: 'exp passed by the tolerance',
      change: at((now) => ({ iat: now - 100, exp: now - 60 })),
      ...because('exp_past', 'exp', 'clockToleranceSeconds'),
    },
    {
      name: 'exp before iat',
      change: at((now) => ({ exp: now - 120 })),
      ...because('exp_past', 'exp', 'clockToleranceSeconds'),
    },
    {
      name: 'too great an age, whatever exp says',
      change: at((now) => ({ iat: now - 360, exp: now + 3600 })),
      ...because('too_old', 'iat', 'maxAgeSeconds'),
    },
    {
      name: 'too great an age without exp',
      change: at((now) => ({ iat: now - 360, exp: undefined })),
      provider: { allowMissingExp: true },
      ...because('too_old', 'iat', 'maxAgeSeconds'),
    },
    {
      name: 'exp null, also where it may be missing',
      change: { payload: { exp: null } },
      provider: { allowMissingExp: true },
      ...because('exp_invalid', 'exp'),
    },
    { name: 'iat null', change: { payload: { iat: null } }, ...because('iat_invalid', 'iat') },
    {
      name: 'iat minus infinity',
      change: { payload: { iat: undefined }, rawMembers: { iat: '-1e999' } },
      ...because('iat_invalid', 'iat'),
    },
    { name: 'nbf null', change: { payload: { nbf: null } }, ...because('nbf_invalid', 'nbf') },
    { name: 'aud null', change: { payload: { aud: null } }, ...because('aud_invalid', 'aud') },
    { name: 'aud an object', change: { payload: { aud: { 0: 'rp', length: 1 } } }, ...because('aud_invalid', 'aud') },
    { name: 'azp null', change: { payload: { azp: null } }, ...because('azp_mismatch', 'azp') },
    {
      name: 'the client twice and a stranger',
      change: { payload: { aud: ['rp', 'rp', 'stranger'] } },
      ...because('aud_untrusted', 'aud', 'trustedAudiences'),
    },
  ]
  it.each(refused)('refuses $name', (row) => refuses(row))
})

describe('sub and sid', () => {
  const taken: readonly Taken[] = [
    { name: 'sid alone: that session and no other', change: { payload: { sub: undefined } } },
    { name: 'sid with sub null (Rauthy)', change: { payload: { sub: null } } },
    { name: 'sub alone: every session of that subject', change: { payload: { sid: undefined } }, alive: BOB_ALONE },
    { name: 'sub with sid null', change: { payload: { sid: null } }, alive: BOB_ALONE },
    { name: 'a sid that nobody has: success, and never wider', change: { payload: { sid: 'gone' } }, alive: EVERYBODY },
    { name: 'a sub that nobody has: success', change: { payload: { sub: 'carol', sid: undefined } }, alive: EVERYBODY },
    {
      name: 'a sub of 255 characters',
      change: { payload: { sub: 's'.repeat(255), sid: undefined } },
      alive: EVERYBODY,
    },
    {
      name: 'a sub for its sid, where the provider sends useless ones',
      change: { payload: { sid: 'unheard of' } },
      provider: { ignoreSid: true },
      alive: BOB_ALONE,
    },
    {
      name: 'a sid where one is required',
      change: {},
      provider: { backchannelLogoutSessionRequired: true },
    },
  ]
  it.each(taken)('takes $name', (row) => takes(row))

  const refused: readonly Refused[] = [
    {
      name: 'no sid, where the provider is said to always send it',
      change: { payload: { sid: undefined } },
      provider: { backchannelLogoutSessionRequired: true },
      ...because('sid_missing', 'sid', 'backchannelLogoutSessionRequired'),
    },
    { name: 'sub false', change: { payload: { sub: false } }, ...because('sub_invalid', 'sub') },
    { name: 'sub an array of one', change: { payload: { sub: ['alice'] } }, ...because('sub_invalid', 'sub') },
    { name: 'sid 0', change: { payload: { sid: 0 } }, ...because('sid_invalid', 'sid') },
    { name: 'sid with a C1 control', change: { payload: { sid: 'a\u0085b' } }, ...because('sid_invalid', 'sid') },
  ]
  it.each(refused)('refuses $name', (row) => refuses(row))

  it('refuses a token without sub, where sids are useless', () =>
    withRp({ provider: { ignoreSid: true } }, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await rp.deliverChanged({ payload: { sub: undefined } }), 400, 'invalid_request')
      expectReported(rp, because('sub_missing', 'sub', 'ignoreSid'))
      expect(await rp.alive()).toEqual(EVERYBODY)
    }))

  it('leaves a session alone that is found by sid and belongs to another sub, and says so', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.deliverChanged({ payload: { sub: 'bob' } }))
      expect(await rp.alive()).toEqual(EVERYBODY)
      expect(rp.eventsOf('logout')).toMatchObject([{ scope: 'sid', found: 0, destroyed: 0, mismatched: 1 }])
    }))

  it('acts within one client of one issuer: the same sub and sid elsewhere live on', () =>
    withRp({}, async (rp) => {
      const elsewhere = await createTokenMint({ issuer: rp.mint.issuer, clientId: 'other-rp', now: rp.clock })
      await rp.signInEverybody()
      expectRefusal(
        await rp.deliver(await elsewhere.logoutToken({ payload: { sub: 'alice', sid: 'alice-laptop' } })),
        400,
        'invalid_request',
      )
      await expectNothingDied(rp)
    }))
})

describe('events', () => {
  const withEvents = (events: Record<string, unknown>): Change => ({ payload: { events } })
  const logout = { [BACKCHANNEL_LOGOUT_EVENT]: {} }
  const taken: readonly Taken[] = [
    { name: 'an event that is not empty', change: withEvents({ [BACKCHANNEL_LOGOUT_EVENT]: { reason: 'x' } }) },
    {
      name: 'further members of any type',
      change: withEvents({ ...logout, a: true, b: null, c: [], d: 'x', 'https://example.com/event': {} }),
    },
  ]
  it.each(taken)('takes $name', (row) => takes(row))

  it.each([
    [true, true],
    ['true', false],
    [false, false],
  ])("reports Keycloak's revoke_offline_access %j as %j", (value, reported) =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.deliverChanged(withEvents({ ...logout, revoke_offline_access: value })))
      expect(rp.eventsOf('logout')).toMatchObject([{ revokeOfflineAccess: reported, destroyed: 1 }])
    }),
  )

  it('refuses an event of almost that name', () =>
    refuses({
      name: '',
      change: withEvents({ [`${BACKCHANNEL_LOGOUT_EVENT}/`]: {} }),
      ...because('event_missing', 'events'),
    }))
})

describe('nonce, jti, the rest', () => {
  const taken: readonly Taken[] = [
    { name: 'unknown claims', change: { payload: { ignored: { deep: [1] }, typ: 'Logout', logout_reason: 'x' } } },
    { name: 'a jti of one character', change: { payload: { jti: '1' } } },
    {
      name: 'a member name given twice, and the last counts',
      change: { payload: { sid: undefined }, rawMembers: { sub: '"bob"' } },
      alive: ['alice-laptop', 'alice-phone'],
    },
  ]
  it.each(taken)('takes $name', (row) => takes(row))

  const refused: readonly Refused[] = [
    { name: 'nonce false', change: { payload: { nonce: false } }, ...because('nonce_present', 'nonce') },
    { name: 'jti null', change: { payload: { jti: null } }, ...because('jti_invalid', 'jti') },
    {
      name: 'a byte order mark',
      change: (rp) => ({ rawPayload: `\ufeff{"iss":"${rp.mint.issuer}"}` }),
      ...because('payload_invalid'),
    },
    {
      name: 'a good value given first, and a bad one last',
      change: { rawMembers: { aud: '"stranger"' } },
      ...because('aud_mismatch', 'aud'),
    },
  ]
  it.each(refused)('refuses $name', (row) => refuses(row))

  it('refuses an ID Token', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await rp.deliver(await rp.mint.idToken()), 400, 'invalid_request')
      await expectNothingDied(rp)
    }))
})
