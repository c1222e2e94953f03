// The mint against an independent judge: jose verifies what the mint signs.
import {
  compactDecrypt,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
} from 'jose'
import {
  allowInsecureRequests,
  discoveryRequest,
  processAuthorizationCodeResponse,
  processDiscoveryResponse,
} from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { createFakeOp } from '../../src/testing/fake-op.js'
import { type MintAlgorithm, mintKeys } from '../../src/testing/mint-keys.js'
import { createTokenMint, loginTraps } from '../../src/testing/token-mint.js'

const NOW = 1_790_000_000
const currentDate = new Date(NOW * 1000)
const client = { issuer: 'https://op.example.com', clientId: 'rp', now: () => NOW + 0.25 }

describe('createTokenMint', () => {
  const asymmetric: MintAlgorithm[] = [
    ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
    ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
  ]
  it.each(asymmetric)('signs by %s a token that its published keys verify', async (algorithm) => {
    const mint = await createTokenMint({ ...client, algorithm })
    const { payload, protectedHeader } = await jwtVerify(await mint.logoutToken(), createLocalJWKSet(mint.jwks), {
      algorithms: [algorithm],
      currentDate,
      issuer: client.issuer,
      audience: client.clientId,
      typ: 'logout+jwt',
    })
    expect(Object.keys(protectedHeader)).toEqual(['alg', 'kid', 'typ'])
    expect(payload).toEqual({
      iss: 'https://op.example.com',
      aud: 'rp',
      iat: NOW,
      exp: NOW + 120,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sub: expect.any(String),
      sid: expect.any(String),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
  })

  it.each(['HS256', 'HS384', 'HS512'] as const)('signs by %s with the client secret alone', async (algorithm) => {
    const clientSecret = 's'.repeat(64)
    const mint = await createTokenMint({ ...client, algorithm, clientSecret })
    const token = await mint.logoutToken()
    await jwtVerify(token, Buffer.from(clientSecret), { algorithms: [algorithm], currentDate })
    expect(decodeProtectedHeader(token)).toEqual({ alg: algorithm, typ: 'logout+jwt' })
  })

  it('publishes keys without alg, beside an encryption key and a curve that jose does not know', async () => {
    const { jwks } = await createTokenMint(client)
    expect(jwks.keys.map(({ use, crv, kty, alg }) => ({ use, crv, kty, alg }))).toEqual([
      { use: 'enc', crv: undefined, kty: 'RSA', alg: 'RSA-OAEP' },
      { use: 'sig', crv: 'secp256k1', kty: 'EC', alg: undefined },
      { use: 'sig', crv: 'P-256', kty: 'EC', alg: undefined },
      { use: 'sig', crv: undefined, kty: 'RSA', alg: undefined },
    ])
    expect(jwks.keys.some((key) => 'd' in key)).toBe(false)
  })

  it('signs by another published key in earnest', async () => {
    const mint = await createTokenMint(client)
    const token = await mint.logoutToken({ signer: 'other-published' })
    await jwtVerify(token, createLocalJWKSet(mint.jwks), { algorithms: ['ES256'], currentDate })
  })

  it('signs by another algorithm of its own key', async () => {
    const mint = await createTokenMint(client)
    const token = await mint.logoutToken({ algorithm: 'PS256' })
    await jwtVerify(token, createLocalJWKSet(mint.jwks), { algorithms: ['PS256'], currentDate })
  })

  it('sets and removes members before it signs', async () => {
    const mint = await createTokenMint(client)
    const token = await mint.logoutToken({ header: { typ: undefined, x: 1 }, payload: { exp: undefined, trace: 't' } })
    await jwtVerify(token, createLocalJWKSet(mint.jwks), { currentDate })
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', kid: expect.any(String), x: 1 })
    expect(decodeJwt(token)).toMatchObject({ trace: 't' })
    expect(decodeJwt(token)).not.toHaveProperty('exp')
  })

  it('writes raw members last, so that a name can be given twice', async () => {
    const mint = await createTokenMint(client)
    const token = await mint.logoutToken({ rawMembers: { sub: '"second"' } })
    const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
    expect(text.match(/"sub":/g)).toHaveLength(2)
    expect(JSON.parse(text).sub).toBe('second')
  })

  it('nests the signed token in a JWE', async () => {
    const mint = await createTokenMint(client)
    const { publicKey, privateKey } = await generateKeyPair('RSA-OAEP-256', { extractable: true })
    const key = { ...(await exportJWK(publicKey)), kid: 'rp-enc' }
    const { plaintext, protectedHeader } = await compactDecrypt(
      await mint.logoutToken({ encrypt: { key } }),
      privateKey,
    )
    expect(protectedHeader).toEqual({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT', kid: 'rp-enc' })
    await jwtVerify(new TextDecoder().decode(plaintext), createLocalJWKSet(mint.jwks), { currentDate })
    const bare = await mint.logoutToken({ encrypt: { key, unsigned: true } })
    expect(JSON.parse(new TextDecoder().decode((await compactDecrypt(bare, privateKey)).plaintext)).iss).toBe(
      client.issuer,
    )
  })

  it('issues ID Tokens of the same sign-on', async () => {
    const mint = await createTokenMint(client)
    const { payload } = await jwtVerify(await mint.idToken(), createLocalJWKSet(mint.jwks), { currentDate })
    const logout = decodeJwt(await mint.logoutToken())
    expect([payload.sub, payload.sid]).toEqual([logout.sub, logout.sid])
    expect(payload).toMatchObject({ iat: NOW, exp: NOW + 3600, auth_time: NOW, nonce: expect.any(String) })
  })

  it('has other keys under another name, and the same under the same', async () => {
    const [a, b, c] = await Promise.all([mintKeys('ES256'), mintKeys('ES256', 'rotated'), mintKeys('ES256')])
    expect(a).toBe(c)
    expect(a.own.kid).not.toBe(b.own.kid)
  })
})

describe('loginTraps', () => {
  it('catch a validator that checks all but nonce and typ', async () => {
    const mint = await createTokenMint(client)
    const traps = await loginTraps(mint)
    expect(traps).toHaveLength(3)
    for (const { token } of traps) {
      const { payload } = await jwtVerify(token, createLocalJWKSet(mint.jwks), {
        currentDate,
        issuer: client.issuer,
        audience: client.clientId,
        requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat'],
      })
      expect(payload).not.toHaveProperty('nonce')
      expect(payload).toHaveProperty('events')
    }
  })

  it('do not catch a login that insists on its nonce', async () => {
    const op = await createFakeOp({ clientId: 'rp' })
    try {
      const traps = await loginTraps(op.mint)
      const honest = await op.mint.idToken({ payload: { nonce: 'sent' } })
      const as = await processDiscoveryResponse(
        new URL(op.issuer),
        await discoveryRequest(new URL(op.issuer), { [allowInsecureRequests]: true }),
      )
      const login = (idToken: string) =>
        processAuthorizationCodeResponse(
          as,
          { client_id: 'rp' },
          Response.json({ access_token: 'at', token_type: 'bearer', id_token: idToken }),
          { expectedNonce: 'sent' },
        )
      await expect(login(honest)).resolves.toMatchObject({ id_token: honest })
      for (const { token } of traps) await expect(login(token)).rejects.toThrow()
    } finally {
      await op.close()
    }
  })
})
