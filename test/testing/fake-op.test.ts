// The fake OP: what it publishes, and how it fails.

import { createRemoteJWKSet, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Behaviour } from '../../src/testing/fake-endpoint.js'
import { startOp, withClosers } from './op-and-receiver.js'

withClosers()

describe('createFakeOp', () => {
  it.each(['', '/', '/realms/demo', '/application/o/my-app/'])(
    'publishes metadata of the issuer at %j',
    async (path) => {
      const op = await startOp(path)
      const url = `${op.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
      const metadata = await (await fetch(url)).json()
      expect(metadata).toMatchObject({ issuer: op.issuer, jwks_uri: op.jwksUri, backchannel_logout_supported: true })
      expect(op.issuer.endsWith(path)).toBe(true)
      await jwtVerify(await op.mint.logoutToken(), createRemoteJWKSet(new URL(op.jwksUri)), { issuer: op.issuer })
      expect(op.fetches).toEqual({ discovery: 1, jwks: 1 })
    },
  )

  it('signs with the new key alone after a rotation', async () => {
    const op = await startOp()
    const before = op.mint.jwks.keys.map(({ kid }) => kid)
    const old = await op.mint.logoutToken()
    await op.rotateKeys()
    const keySet = createRemoteJWKSet(new URL(op.jwksUri))
    await jwtVerify(await op.mint.logoutToken(), keySet)
    await expect(jwtVerify(old, keySet)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
    expect(op.mint.jwks.keys.filter(({ kid }) => before.includes(kid)).map(({ kid }) => kid)).toEqual([
      'encryption',
      'rare-curve',
    ])
  })

  it.each<[Behaviour, number]>([
    ['well', 200],
    ['failing', 500],
    ['redirecting', 302],
    ['html', 200],
    ['malformed', 200],
    ['huge', 200],
  ])('answers %s with %i', async (behaviour, status) => {
    const op = await startOp()
    op.behave('jwks', behaviour)
    const response = await fetch(op.jwksUri, { redirect: 'manual' })
    expect(response.status).toBe(status)
    const text = await response.text()
    if (behaviour === 'huge') expect(text.length).toBeGreaterThan(8_000_000)
    if (behaviour === 'malformed') expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  it('cuts the connection when closed', async () => {
    const op = await startOp()
    op.behave('jwks', 'closed')
    await expect(fetch(op.jwksUri)).rejects.toThrow(TypeError)
    expect(op.fetches.jwks).toBe(1)
  })

  it('holds answers back while silent, and gives them when it behaves again', async () => {
    const op = await startOp()
    op.behave('jwks', 'silent')
    const answers = [fetch(op.jwksUri), fetch(op.jwksUri)]
    const untilSeen = (async () => {
      while (op.fetches.jwks < 2) await new Promise(setImmediate)
    })()
    expect(await Promise.race([...answers, untilSeen])).toBeUndefined()
    op.behave('jwks', 'well')
    for (const answer of await Promise.all(answers)) expect(await answer.json()).toEqual(op.mint.jwks)
  })
})
