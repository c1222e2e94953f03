// The claims cache as an API makes it: its options, what an answer becomes, and what of it is said to whom.
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createClaims, type TokenClaims } from '../../src/access-tokens/index.js'
import type { LogoutEvent } from '../../src/events.js'
import { active, claimsOver, ended, handClock, ISSUER, isActive, NOW, promptServer } from './hand-run.js'

const DAY = 86_400

describe('cnf is returned each time', () => {
  it('from the cache as well', async () => {
    const { claims, server } = claimsOver(() => active({ cnf: { jkt: 'thumbprint' } }))
    await claims.lookup('token')
    const verdict = await claims.lookup('token')
    expect(verdict).toMatchObject({ active: true, claims: { cnf: { jkt: 'thumbprint' } } })
    expect(server.asked).toHaveLength(1)
  })
})

describe('every token of the session, and nobody else’s', () => {
  const answers: Record<string, Record<string, unknown>> = {
    first: {},
    refreshed: { iat: NOW - 1 },
    'same user, other session': { sid: 's2' },
    'of that sid under another sub': { sub: 'pairwise, or internal' },
    'other client': { client_id: 'rp-2' },
    'other issuer': { iss: 'https://other.example.com' },
  }
  const tokens = Object.keys(answers)
  /** A sid is one session, whatever the server calls its user. */
  const ofOtherSessions = ['same user, other session', 'other client', 'other issuer']
  const surviving = async (logout: Parameters<typeof ended>) => {
    const { claims } = claimsOver((token) => active(answers[token]))
    for (const token of tokens) expect(await isActive(claims, token)).toBe(true)
    claims.evict(ended(...logout))
    const alive: string[] = []
    for (const token of tokens) if (await isActive(claims, token)) alive.push(token)
    return alive
  }

  it('by sid and sub', async () => {
    expect(await surviving([{ sid: 's1', sub: 'alice' }, NOW])).toEqual(ofOtherSessions)
  })

  it('by sid alone', async () => {
    expect(await surviving([{ sid: 's1' }, NOW])).toEqual(ofOtherSessions)
  })

  it('by sub', async () => {
    expect(await surviving([{ sub: 'alice' }, NOW])).toEqual(tokens.slice(3))
  })

  it('by the hashes that were recorded at login, where the answer names no sid', async () => {
    const { claims } = claimsOver(() => active({ sid: undefined }))
    claims.evict(ended({ sid: 's1' }, NOW, {}, ['recorded', 'recorded after a refresh']))
    expect(await isActive(claims, 'recorded')).toBe(false)
    expect(await isActive(claims, 'recorded after a refresh')).toBe(false)
    expect(await isActive(claims, 'of another session')).toBe(true)
  })

  it('by what the application knows of an answer with claims of its own', async () => {
    const { claims } = claimsOver(() => active({ sid: undefined, ext: { session: 's1' } }), {
      signOnOf: (answer, registered) => {
        const ext: unknown = answer.ext
        const isObject = typeof ext === 'object' && ext !== null && 'session' in ext
        return { ...registered, sid: isObject ? String(ext.session) : undefined }
      },
    })
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('a later login lives', async () => {
    const { claims, clock } = claimsOver((token) =>
      active({ sid: `of-${token}`, iat: token === 'old' ? NOW - 5 : NOW + 1 }),
    )
    claims.evict(ended({ sub: 'alice' }, NOW))
    clock.advance(1)
    expect(await isActive(claims, 'old')).toBe(false)
    expect(await isActive(claims, 'new')).toBe(true)
  })
})

describe('a mark that could be forgotten too early is refused at start-up', () => {
  const { introspection } = promptServer(() => active())

  for (const longest of ['tokenLifetimeSeconds', 'sessionLifetimeSeconds', 'maximumLifetimeSeconds'] as const) {
    it(`if it is shorter than ${longest} and the tolerance`, () => {
      const short = { tokenLifetimeSeconds: 10, sessionLifetimeSeconds: 10, maximumLifetimeSeconds: 10 }
      const options = { introspection, ...short, [longest]: 5000 }
      expect(() => createClaims({ ...options, marksLifetimeSeconds: 5059 })).toThrow(
        /marksLifetimeSeconds must be a number .* of 5060 or more/,
      )
      expect(() => createClaims({ ...options, marksLifetimeSeconds: 5059 })).toThrow(TypeError)
      expect(createClaims({ ...options, marksLifetimeSeconds: 5060 }).marksLifetimeSeconds).toBe(5060)
      expect(createClaims(options).marksLifetimeSeconds).toBe(5060)
    })
  }

  it('and a token that lives longer than was said is warned of, once', async () => {
    const events: LogoutEvent[] = []
    const { claims } = claimsOver(() => active({ exp: NOW + 400 * DAY }), {
      onEvent: (event) => void events.push(event),
    })
    await isActive(claims, 'a')
    await isActive(claims, 'b')
    expect(events).toMatchObject([
      { type: 'warning', error: { code: 'ERR_CONFIGURATION', reason: 'token_outlives_marks' } },
    ])
  })

  it('and a mark that the engine keeps shorter is kept here as long as this cache needs it', async () => {
    const { claims, clock } = claimsOver(() => active({ exp: undefined }))
    claims.evict(ended({ sid: 's1' }, NOW, { expiresAt: NOW + 1 }))
    clock.advance(29 * DAY)
    expect(await isActive(claims)).toBe(false)
  })
})

describe('nothing secret is said', () => {
  const secrets = ['secret-token', 'alice-the-subject', 'session-of-alice', 'private-claim']

  it('not in errors, not in what they were caused by, not in events', async () => {
    const said: unknown[] = []
    const clock = handClock()
    const leaky = () => {
      const error = new Error(`failed for ${secrets.join(' ')}`)
      return Object.assign(error, { config: { token: secrets[0] }, cause: new Error(secrets[1]) })
    }
    const answer: TokenClaims = active({ sub: secrets[1], sid: secrets[2], private: secrets[3] })
    const attempts = [
      createClaims({
        introspection: { issuer: ISSUER, introspect: () => Promise.reject(leaky()) },
        clock,
        onEvent: (event) => void said.push(event),
      }),
      createClaims({
        introspection: promptServer(() => answer).introspection,
        clock,
        enrich: () => Promise.reject(leaky()),
        onEvent: (event) => void said.push(event),
      }),
      createClaims({
        introspection: promptServer(() => ({ ...answer, sub: [secrets[1]] }) as never).introspection,
        clock,
        onEvent: (event) => void said.push(event),
      }),
    ]
    for (const claims of attempts) said.push(await claims.lookup(secrets[0] ?? '').catch((error: unknown) => error))
    expect(said).toHaveLength(6)
    const printed = inspect(said, { depth: 20, showHidden: true })
    for (const secret of secrets) expect(printed).not.toContain(secret)
  })
})

describe('one entry', () => {
  it('holds what the application made of the answer, made once', async () => {
    let made = 0
    const { introspection } = promptServer(() => active())
    const claims = createClaims({
      introspection,
      clock: handClock(),
      enrich: (answer, token) => {
        made += 1
        return { tenant: `of ${answer.sub}`, knows: token.length }
      },
    })
    await claims.lookup('token')
    expect(await claims.lookup('token')).toMatchObject({ active: true, application: { tenant: 'of alice', knows: 5 } })
    expect(made).toBe(1)
  })

  it('cannot be changed by a request for the next one', async () => {
    const { claims } = claimsOver(() => active({ authorization_details: [{ type: 'payment' }] }))
    const verdict = await claims.lookup('token')
    if (!verdict.active) throw new Error('not let in')
    expect(() => Object.assign(verdict.claims, { scope: 'admin' })).toThrow(TypeError)
    expect(Object.isFrozen(verdict.claims.authorization_details)).toBe(true)
    expect(Object.isFrozen(verdict.claims.authorization_details?.[0])).toBe(true)
  })

  it('nor where a way of one’s own to ask hands out what is frozen at the top alone, or goes in a circle', async () => {
    const answer: Record<string, unknown> = { ...active({ realm_access: Object.freeze({ roles: ['user'] }) }) }
    Object.assign(answer, { circle: answer })
    const { claims } = claimsOver(() => Object.freeze(answer) as TokenClaims)
    const verdict = await claims.lookup('token')
    if (!verdict.active) throw new Error('not let in')
    const roles: unknown = Reflect.get(Object(verdict.claims.realm_access), 'roles')
    expect(() => (roles as string[]).push('admin')).toThrow(TypeError)
    expect(roles).toEqual(['user'])
  })

  it('is tied to nobody where the answer names no client, and is then ended by its token alone', async () => {
    const { claims } = claimsOver(() => active({ client_id: undefined }))
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(true)
    await claims.evictToken('token')
    expect(await isActive(claims)).toBe(false)
  })
})

describe('options', () => {
  const { introspection } = promptServer(() => active())
  for (const [name, options] of Object.entries({
    maximumLifetimeSeconds: { maximumLifetimeSeconds: 0 },
    negativeLifetimeSeconds: { negativeLifetimeSeconds: 61 },
    maxEntries: { maxEntries: 1.5 },
    maxNegativeEntries: { maxNegativeEntries: Number.NaN },
    storeTimeoutSeconds: { storeTimeoutSeconds: -1 },
    maxAge: { maxAge: 1 },
    clock: { clock: 7 },
    store: { store: {} },
    introspection: { introspection: undefined },
    introspect: { introspection: { issuer: ISSUER, introspect: 'https://op.example.com/introspect' } },
    timeoutSeconds: { introspection: { issuer: ISSUER, introspect: async () => active(), timeoutSeconds: 0 } },
  })) {
    it(`a ${name} that cannot work is refused at start-up by its name`, () => {
      const bad: never = { introspection, ...options } as never
      expect(() => createClaims(bad)).toThrow(new RegExp(name))
      expect(() => createClaims(bad)).toThrow(TypeError)
    })
  }
})
