// Each defect of the mint is the one it is named for, and the only one.
import { createLocalJWKSet, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { DEFECTS } from '../../src/testing/defects.js'
import { createTokenMint } from '../../src/testing/token-mint.js'

const NOW = 1_790_000_000
const currentDate = new Date(NOW * 1000)
const client = { issuer: 'https://op.example.com', clientId: 'rp', now: () => NOW + 0.25 }

describe('DEFECTS', () => {
  it('names each defect once', () => {
    expect(new Set(DEFECTS.map(({ name }) => name)).size).toBe(DEFECTS.length)
  })

  // A defect of header or claims must be the only one: it is truly signed by a published key.
  const signedInEarnest = DEFECTS.filter(
    ({ name }) => !/^(alg|public|signature|payload-swapped|key-in|crit)/.test(name),
  )
  it.each(signedInEarnest)('$name is validly signed', async ({ name }) => {
    const mint = await createTokenMint(client)
    const { compactVerify } = await import('jose')
    await compactVerify(await mint.defective(name), createLocalJWKSet(mint.jwks))
  })

  const invalidlySigned = DEFECTS.filter(({ name }) => /^(signature|payload-swapped|key-in|public|alg-none)/.test(name))
  it.each(invalidlySigned)('$name is not validly signed', async ({ name }) => {
    const mint = await createTokenMint(client)
    await expect(
      jwtVerify(await mint.defective(name), createLocalJWKSet(mint.jwks), { currentDate }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_J/) })
  })

  it.each(DEFECTS)('$name differs from the valid token', async ({ name }) => {
    const mint = await createTokenMint(client)
    const shape = (token: string) => {
      const [header = '', payload = '', signature = ''] = token.split('.')
      const text = Buffer.from(payload, 'base64url')
        .toString('latin1')
        .replace(/"jti":"[^"]{36}"/, '')
      return [Buffer.from(header, 'base64url').toString(), text, signature.length].join()
    }
    const spoilt = await mint.defective(name)
    const valid = await mint.logoutToken()
    if (name === 'signature-of-foreign-key' || name === 'signature-garbled') expect(shape(spoilt)).toBe(shape(valid))
    else expect(shape(spoilt)).not.toBe(shape(valid))
  })

  it('refuses a name it does not know', async () => {
    const mint = await createTokenMint(client)
    // @ts-expect-error the union is closed
    await expect(async () => mint.defective('no-such')).rejects.toThrow(TypeError)
  })
})
