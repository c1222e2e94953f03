import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { expect, it } from 'vitest'
import { remoteKeySet } from '../../src/access-tokens/remote-key-set.js'

it('published keys that cannot be had are asked for once in seconds, however many tokens come, and then found', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [await exportJWK(publicKey)] }
  let [now, asked, isUp] = [0, 0, false]
  const keys = remoteKeySet('https://rp.example.com/jwks', {
    fetch: async () => {
      asked++
      if (!isUp) throw new Error('down')
      return Response.json(jwks)
    },
    timeoutSeconds: 1.0001,
    clock: () => now,
  })
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  for (let i = 0; i < 20; i++) await expect(jwtVerify(token, keys)).rejects.toThrow('down')
  expect(asked).toBe(1)
  isUp = true
  now += 1
  await jwtVerify(token, keys)
  await jwtVerify(token, keys)
  expect(asked).toBe(2)
})
