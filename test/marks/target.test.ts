// Keys: nothing legible, and no choice of issuer, client id and value that imitates another.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jtiKey, sha256, sidKey, subKey, targetKey, tokenKey } from '../../src/marks/target.js'

const RUNS = 2_000
const client = { issuer: 'https://op.example', clientId: 'rp' }

describe('keys', () => {
  it('differ by kind, issuer, client id and value', () => {
    const other = [
      { issuer: 'https://op.example', clientId: 'rp2' },
      { issuer: 'https://op.example/', clientId: 'rp' },
    ]
    const keys = [client, ...other].flatMap((each) => [sidKey(each, 'v'), subKey(each, 'v'), jtiKey(each, 'v')])
    keys.push(sidKey(client, 'w'), subKey(client, 'w'), jtiKey(client, 'w'))
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('are the same for two tuples only if the tuples are', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '|', '"', ',', '[', '\\', '\0', 'é'), maxLength: 4 })
    const tuple = fc.record({ issuer: text, clientId: text, value: text })
    fc.assert(
      fc.property(tuple, tuple, (a, b) => {
        const isSame = a.issuer === b.issuer && a.clientId === b.clientId && a.value === b.value
        expect(subKey(a, a.value) === subKey(b, b.value)).toBe(isSame)
      }),
      { numRuns: RUNS },
    )
  })

  it('show nothing of what they stand for', () => {
    const key = subKey(client, 'alice@example.com')
    expect(key).toMatch(/^[\w-]{22}$/)
    expect(key).not.toContain('alice')
  })
})

describe('targetKey', () => {
  it('is narrow where there is a sid, and the sub only narrows further', () => {
    expect(targetKey({ ...client, sub: 'alice' })).toEqual({ scope: 'sub', key: subKey(client, 'alice') })
    expect(targetKey({ ...client, sid: 'one' })).toEqual({ scope: 'sid', key: sidKey(client, 'one') })
    expect(targetKey({ ...client, sid: 'one', sub: 'alice' })).toEqual({
      scope: 'sid',
      key: sidKey(client, 'one'),
      subKey: subKey(client, 'alice'),
    })
  })
})

describe('tokenKey', () => {
  const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const signed = `${part({ alg: 'RS256', typ: 'at+jwt' })}.${part({ sub: 'alice' })}`

  it('is of what is signed, however the signature is written', () => {
    for (const signature of ['c2ln', 'c2ln==', 'c2lo', 'a+b/', 'other', '']) {
      expect(tokenKey(`${signed}.${signature}`)).toBe(sha256(signed))
    }
    expect(tokenKey(`${signed}x.c2ln`)).not.toBe(sha256(signed))
  })

  it('is of what is signed, with white space in the header too', () => {
    for (const header of ['{\n  "alg": "RS256"}', '{ "alg":"RS256"}', '{\t"alg":"RS256"}', '{\r\n"alg":"RS256"}']) {
      const input = `${Buffer.from(header).toString('base64url')}.e30`
      expect(tokenKey(`${input}.c2ln`)).toBe(sha256(input))
    }
  })

  // A PASETO, an opaque token with dots, a JWE, what is no token at all.
  it.each(['v4.public.payload', 'a.b.c', 'opaque', `${signed}.c2ln.x.y`, `${signed}.c2ln.x`, signed, '..', ''])(
    'of what is no compact JWS (%j) is of the whole text',
    (token) => expect(tokenKey(token)).toBe(sha256(token)),
  )
})
