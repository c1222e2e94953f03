// Which key may have signed a token, and what a key id that nobody knows makes of the keys that are here.

import { createLocalJWKSet } from 'jose'
import { describe, expect, it } from 'vitest'
import { couldSign, type JWK } from '../../src/providers/jwk.js'
import { keyIn } from '../../src/providers/key-lookup.js'
import { NOW, ruleOf } from '../tokens/verifying.js'
import { KEY_UNKNOWN, Scene, unavailable, withClosers } from './op-and-rp.js'

withClosers()

describe('an unknown key id', () => {
  it('after a rotation is fetched within the request', async () => {
    const scene = await Scene.open()
    await scene.verify()
    await scene.op.rotateKeys()
    expect((await scene.verify()).issuedAt).toBe(NOW)
    expect(scene.op.fetches).toEqual({ discovery: 1, jwks: 2 })
  })

  it('is not fetched for twice where the keys came with this very request', async () => {
    const scene = await Scene.open()
    expect(await scene.verifyInvented('a')).toEqual(KEY_UNKNOWN)
    expect(scene.op.fetches.jwks).toBe(1)
  })

  it('that may not be looked for yet is no verdict, and is looked for once a fetch is allowed again', async () => {
    const scene = await Scene.open()
    await scene.verify()
    for (let i = 0; i < 5; i++) expect(await scene.verifyInvented(`invented-${i}`)).toEqual(KEY_UNKNOWN)
    await scene.op.rotateKeys()
    expect(await ruleOf(scene.verify())).toEqual(unavailable('lookups_used_up'))
    expect(scene.op.fetches.jwks).toBe(1 + 5)
    scene.now += 6
    expect((await scene.verify()).issuedAt).toBe(NOW)
  })

  it.each([500, -500])('is not looked for sooner where the clock is put forward by %i seconds', async (seconds) => {
    const scene = await Scene.open()
    await scene.verify()
    for (let i = 0; i < 10; i++) await scene.verifyInvented(`invented-${i}`)
    scene.putForward = seconds
    for (let i = 0; i < 10; i++) await scene.verifyInvented(`invented-${i}`)
    expect(scene.op.fetches.jwks).toBe(1 + 5)
    scene.now += 6
    for (let i = 0; i < 10; i++) await scene.verifyInvented(`invented-${i}`)
    expect(scene.op.fetches.jwks).toBe(1 + 6)
  })

  it('after an invented one is still looked for: a rotation is not hidden by an attack', async () => {
    const scene = await Scene.open()
    await scene.verify()
    await scene.verifyInvented('a')
    await scene.op.rotateKeys()
    expect((await scene.verify()).issuedAt).toBe(NOW)
    expect(scene.op.fetches.jwks).toBe(3)
  })

  it('or a signature invented anew each time makes five fetches at once, then one in six seconds', async () => {
    const scene = await Scene.open()
    await scene.verify()
    for (let i = 0; i < 60; i++) {
      await scene.verifyInvented(`invented-${i}`)
      await ruleOf(scene.verify({ signer: 'foreign' }))
      scene.now += 0.5
    }
    expect(scene.op.fetches.jwks).toBeLessThanOrEqual(1 + 5 + 30 / 6)
  })

  it('makes no more fetches where every second one fails', async () => {
    let asked = 0
    const scene = await Scene.open({
      fetch: async (url, init) => {
        if (url.endsWith('/jwks') && ++asked % 2 === 0) throw new Error('flaky')
        return fetch(url, init)
      },
    })
    await scene.verify()
    for (let i = 0; i < 120; i++) {
      await scene.verifyInvented(`invented-${i}`)
      scene.now += 1
    }
    expect(asked).toBeGreaterThan(15)
    expect(asked).toBeLessThanOrEqual(1 + 5 + 120 / 6)
  })

  it('of many requests at a time is one fetch', async () => {
    const scene = await Scene.open()
    await scene.verify()
    await scene.op.rotateKeys()
    await Promise.all(Array.from({ length: 20 }, () => scene.verify()))
    expect(scene.op.fetches.jwks).toBe(2)
  })

  it('is no verdict while the OP cannot be asked, and does not use up the budget', async () => {
    const scene = await Scene.open()
    await scene.verify()
    await scene.op.rotateKeys()
    scene.op.behave('jwks', 'failing')
    for (let i = 0; i < 7; i++) {
      expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_fetch_failed'))
      scene.now += 1
    }
    scene.op.behave('jwks', 'well')
    expect((await scene.verify()).issuedAt).toBe(NOW)
  })

  it.each([500, -500])(
    'leaves an OP that fails alone as long where the clock is put forward by %i seconds',
    async (seconds) => {
      const scene = await Scene.open()
      await scene.verify()
      await scene.op.rotateKeys()
      scene.op.behave('jwks', 'failing')
      await ruleOf(scene.verify())
      const { jwks } = scene.op.fetches
      scene.now += 0.9
      scene.putForward = seconds
      await ruleOf(scene.verify())
      expect(scene.op.fetches.jwks).toBe(jwks)
      scene.now += 0.1
      await ruleOf(scene.verify())
      expect(scene.op.fetches.jwks).toBe(jwks + 1)
    },
  )

  it('of another algorithm than those allowed is no reason to call the OP', async () => {
    const scene = await Scene.open()
    expect(await ruleOf(scene.verify({ signer: 'other-published' }))).toMatchObject({ reason: 'alg_not_allowed' })
    expect(scene.op.fetches).toEqual({ discovery: 0, jwks: 0 })
  })
})

describe('no key id', () => {
  it('takes the one key that fits', async () => {
    const scene = await Scene.open()
    expect((await scene.verify({ header: { kid: undefined } })).issuedAt).toBe(NOW)
  })

  it('is refused where two fit', async () => {
    const scene = await Scene.open()
    const keys = [...scene.op.mint.jwks.keys]
    await scene.op.rotateKeys()
    const both = new Scene(scene.op, { jwks: { keys: [...keys, ...scene.op.mint.jwks.keys] } })
    expect(await ruleOf(both.verify({ header: { kid: undefined } }))).toMatchObject({
      code: 'ERR_TOKEN',
      reason: 'kid_missing_ambiguous',
      claim: 'kid',
    })
    expect((await both.verify()).issuedAt).toBe(NOW)
  })
})

describe('what a published key could have signed', () => {
  const KINDS = [
    { kty: 'RSA' },
    { kty: 'oct' },
    ...['P-256', 'P-384', 'P-521', 'secp256k1'].map((crv) => ({ kty: 'EC', crv })),
    ...['Ed25519', 'Ed448', 'X25519'].map((crv) => ({ kty: 'OKP', crv })),
  ]
  const SAYINGS = [{}, { use: 'sig' }, { use: 'enc' }, { key_ops: ['verify'] }, { key_ops: ['wrapKey'] }].flatMap(
    (saying) => [saying, { ...saying, alg: 'RS256' }, { ...saying, key_ops: ['sign'] }],
  )
  const ALGORITHMS = ['RS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

  it('is what jose would verify by it', async () => {
    for (const key of KINDS.flatMap((kind) => SAYINGS.map((saying): JWK => ({ ...kind, ...saying })))) {
      for (const alg of ALGORITHMS) {
        const isTaken = (await keyIn(createLocalJWKSet({ keys: [key] }), { alg })).found !== 'none'
        expect(couldSign(key, alg), JSON.stringify({ key, alg })).toBe(isTaken)
      }
    }
  })
})
