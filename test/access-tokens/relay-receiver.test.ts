// The receiving end of a relay, over real HTTP: which notices it does not believe, and what one of them changes.

import { randomUUID } from 'node:crypto'
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { createRelayReceiver } from '../../src/access-tokens/index.js'
import { ended } from './hand-run.js'
import {
  AUDIENCE,
  api,
  closers,
  foreign,
  log,
  NOTICE_SECONDS,
  own,
  RELAY,
  relay,
  relayTo,
  seconds,
  withKeysAndClosers,
} from './relayed.js'

withKeysAndClosers()

describe('a notice', () => {
  const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
  const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
  const { target } = ended({ sid: 's1' }, 0)

  async function scene(more: Parameters<typeof api>[0] = {}) {
    const one = await api(more)
    const made = relay(log(), one.endpoint)
    await made.refresh()
    const send = async (change: { claims?: object; header?: object; by?: 'foreign'; type?: string; body?: string }) => {
      const payload = {
        iss: RELAY,
        aud: AUDIENCE,
        iat: seconds(),
        jti: randomUUID(),
        sub_id: { format: 'complex', session: { format: 'opaque', id: target.key } },
        events: { [SESSION_REVOKED]: { event_timestamp: seconds(), seen_seconds_ago: 0, lasts_seconds: 3600 } },
        ...change.claims,
      }
      const notice = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', ...change.header })
        .sign(change.by === 'foreign' ? foreign.privateKey : own.privateKey)
      const headers = { 'Content-Type': change.type ?? 'application/secevent+jwt' }
      return fetch(one.endpoint, { method: 'POST', headers, body: change.body ?? notice })
    }
    return { ...one, send }
  }

  it('is believed as it stands, and again, to the same effect', async () => {
    const { send, isRevoked } = await scene()
    for (const _ of [1, 2]) expect((await send({})).status).toBe(202)
    expect(await isRevoked({ sid: 's1' })).toBe(true)
    expect(await isRevoked({ sid: 's2' })).toBe(false)
  })

  const spans = { event_timestamp: seconds(), seen_seconds_ago: 0, lasts_seconds: 3600 }
  const sessionOf = (sid: string) => ({
    sub_id: { format: 'complex', session: { format: 'opaque', id: ended({ sid }, 0).target.key } },
  })
  const several = (...marks: unknown[]) => ({
    claims: { sub_id: { format: 'opaque', id: 'several' }, events: { [SESSION_REVOKED]: { ended: marks } } },
  })

  it('of several marks is believed in each of them, and again, to the same effect', async () => {
    const { send, isRevoked } = await scene()
    const notice = several({ ...sessionOf('s1'), ...spans }, { ...sessionOf('s3'), ...spans })
    for (const _ of [1, 2]) expect((await send(notice)).status).toBe(202)
    for (const sid of ['s1', 's3']) expect(await isRevoked({ sid })).toBe(true)
    expect(await isRevoked({ sid: 's2' })).toBe(false)
  })

  it('of as many marks as it says it takes, each as long as marks are, is taken', async () => {
    const { send, isRevoked } = await scene()
    const takes = Number((await send({})).headers.get('relay-marks'))
    expect(takes).toBeGreaterThan(100)
    const user = ended({ sub: 'alice' }, 0).target.key
    const long = { event_timestamp: 1_800_000_000.123456, seen_seconds_ago: 2e6 / 3, lasts_seconds: 2e7 / 3 }
    const marks = Array.from({ length: takes }, (_, i) => {
      const { session } = sessionOf(`s${i}`).sub_id
      return { sub_id: { format: 'complex', session, user: { format: 'opaque', id: user } }, ...long }
    })
    expect((await send(several(...marks))).status).toBe(202)
    expect(await isRevoked({ sid: `s${takes - 1}` })).toBe(true)
    expect((await send(several(...marks, marks[0]))).status).toBe(400)
  })

  describe('of a logout without a Logout Token, which ends what was there before it arrived', () => {
    /** As a relay says it now: with the nonce that it has. */
    async function said() {
      let now = seconds()
      const { send, isRevoked, pass } = await scene({ clock: () => now })
      const verification = (state?: string) => ({
        claims: { sub_id: { format: 'opaque', id: 'all' }, events: { [VERIFICATION]: { ...(state && { state }) } } },
      })
      const nonce = async () => (await send(verification())).headers.get('relay-nonce') ?? ''
      const terminated = (state: string, jti: string = randomUUID()) => {
        const events = { [SESSION_REVOKED]: { seen_seconds_ago: 0, lasts_seconds: 86_400, state } }
        return send({ claims: { jti, events } })
      }
      const later = async (by: number) => {
        now += by
        pass(by)
        await send(verification(await nonce()))
      }
      return { nonce, terminated, isRevoked, send, later }
    }

    it('is believed while its nonce is new', async () => {
      const { nonce, terminated, isRevoked } = await said()
      expect((await terminated(await nonce())).status).toBe(202)
      expect(await isRevoked({ sid: 's1' })).toBe(true)
    })

    it('is of no use to whoever kept it: minutes later it is refused, and gets no nonce', async () => {
      const { nonce, terminated, later, isRevoked } = await said()
      const state = await nonce()
      await later(301)
      const answer = await terminated(state)
      expect([answer.status, answer.headers.get('relay-nonce')]).toEqual([400, null])
      expect(await isRevoked({ sid: 's1' })).toBe(false)
      expect((await terminated(await nonce())).status).toBe(202)
      expect(await isRevoked({ sid: 's1' })).toBe(true)
    })

    it('is not dated anew where it comes again sooner', async () => {
      const { nonce, terminated, later, isRevoked } = await said()
      const [state, began] = [await nonce(), seconds()]
      const before = { sid: 's1', iat: began - 10, auth_time: began - 10 }
      const after = { sid: 's1', iat: began + 100, auth_time: began + 100 }
      await terminated(state, 'the very same')
      await later(250)
      expect((await terminated(state, 'the very same')).status).toBe(202)
      expect([await isRevoked(before), await isRevoked(after)]).toEqual([true, false])
      expect((await terminated(state)).status).toBe(202)
      expect(await isRevoked(after)).toBe(true)
    })

    it('that names a process which is no more changes nothing here, and its relay learns of this one', async () => {
      const { terminated, isRevoked } = await said()
      const answer = await terminated(`${randomUUID()}.1_1`)
      expect(answer.status).toBe(202)
      expect(answer.headers.get('relay-nonce')).toBeTruthy()
      expect(await isRevoked({ sid: 's1' })).toBe(false)
    })

    it('is refused where its nonce is no text', async () => {
      const { send } = await said()
      const events = { [SESSION_REVOKED]: { ...spans, state: 7 } }
      expect((await send({ claims: { events } })).status).toBe(400)
    })
  })

  it.each<readonly [string, Parameters<Awaited<ReturnType<typeof scene>>['send']>[0]]>([
    ['of a foreign key', { by: 'foreign' }],
    ['of another type', { header: { typ: 'JWT' } }],
    ['of another relay', { claims: { iss: 'https://other.example.com' } }],
    ['for another API', { claims: { aud: 'https://other.example.com' } }],
    ['without iat', { claims: { iat: undefined } }],
    ['without jti', { claims: { jti: undefined } }],
    ['without a subject', { claims: { sub_id: undefined } }],
    ['about a subject in another format', { claims: { sub_id: { format: 'email', email: 'a@example.com' } } }],
    ['of another event', { claims: { events: { 'https://example.com/event': {} } } }],
    ['of two events', { claims: { events: { [SESSION_REVOKED]: {}, [VERIFICATION]: {} } } }],
    ['without its spans', { claims: { events: { [SESSION_REVOKED]: { event_timestamp: 1 } } } }],
    ['of no marks', several()],
    ['of marks that are none', several(null, 's1')],
    ['of marks in another shape', several({ ...sessionOf('s1'), ...spans }, sessionOf('s3'))],
    ['of a mark that names nobody', several({ ...sessionOf('s1'), ...spans }, spans)],
    ['of several marks that are not a list', { claims: { events: { [SESSION_REVOKED]: { ...spans, ended: {} } } } }],
    ['in another media type', { type: 'application/jwt' }],
    ['that is none', { body: 'notice' }],
    ['that is too large', { body: 'x'.repeat(140_000) }],
  ])('%s changes nothing, and gets no nonce', async (_name, change) => {
    const { send, isRevoked } = await scene()
    const answer = await send(change)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('relay-nonce')).toBeNull()
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await isRevoked({ sid: 's1' })).toBe(false)
  })

  it.each([
    ['no nonce', undefined],
    ['the nonce of another process', 'x.1_1'],
    ['a nonce of the future', 'future'],
  ])('that all has been said extends nothing with %s', async (_name, said) => {
    const { send, isRevoked, pass } = await scene()
    const given = (await send({})).headers.get('relay-nonce') ?? ''
    const state = said === 'future' ? `${given.split('.')[0]}.1e12_1e12` : said
    pass(5)
    const events = { [VERIFICATION]: state === undefined ? {} : { state } }
    expect((await send({ claims: { sub_id: { format: 'opaque', id: 'all' }, events } })).status).toBe(202)
    expect(await isRevoked({ sid: 's2' })).toBe('store_failed')
  })

  it('that all has been said extends it once: the same again, later, counts from the same moment', async () => {
    const { send, isRevoked, pass } = await scene()
    pass(6)
    const state = (await send({})).headers.get('relay-nonce') ?? ''
    const all = { claims: { sub_id: { format: 'opaque', id: 'all' }, events: { [VERIFICATION]: { state } } } }
    await send(all)
    expect(await isRevoked({ sid: 's2' })).toBe(false)
    pass(5)
    await send(all)
    expect(await isRevoked({ sid: 's2' })).toBe('store_failed')
  })
})

describe.each([
  ['ahead', 2 * 86_400],
  ['behind', -2 * 86_400],
])('a wall clock that is %s for a moment', (_where, off) => {
  it('loses no mark and ends no later login', async () => {
    let by = 0
    const store = log()
    const { endpoint, isRevoked, evictToken } = await api({ clock: () => Date.now() / 1000 + by })
    const made = relay(store, endpoint)
    store.marks.push(ended({ sid: 's1' }, seconds() - 200).mark)
    // Of a logout without a Logout Token: the moment when it was seen is all that dates it.
    store.marks.push({ ...ended({ sub: 'bob' }, seconds() - 200).mark, issuedAt: undefined })
    await made.refresh()
    await evictToken('token')
    const verdicts = async () => [
      await isRevoked({ sid: 's1' }),
      await isRevoked({ sub: 'bob', sid: 'before', iat: seconds() - 300 }),
      await isRevoked({ sub: 'carol', sid: 's3' }, 'token'),
      await isRevoked({ sub: 'carol', sid: 's3' }, 'another'),
    ]
    const laterLogin = () => isRevoked({ sub: 'bob', sid: 'later', iat: seconds() - 10, auth_time: seconds() - 10 })
    expect(await verdicts()).toEqual([true, true, true, false])
    by = off
    expect(await isRevoked({ sid: 's1' })).toBe('store_failed')
    for (let i = 0; i < 20; i++) store.marks.push(ended({ sid: `other-${i}` }, seconds()).mark)
    await made.refresh()
    expect(await verdicts()).toEqual([true, true, true, false])
    by = 0
    expect(await isRevoked({ sid: 's1' })).toBe('store_failed')
    await made.refresh()
    expect(await verdicts()).toEqual([true, true, true, false])
    expect(await laterLogin()).toBe(false)
  })
})

describe('a relay whose key is replaced', () => {
  const JWKS = 'https://rp.example.com/jwks'

  /** An API that fetches the keys of its relay, and what is published there. */
  async function scene() {
    const published: { keys: readonly JWK[]; isUp: boolean } = { keys: [], isUp: true }
    const realFetch = fetch
    vi.stubGlobal('fetch', async (...asked: Parameters<typeof fetch>) => {
      if (asked[0] !== JWKS) return realFetch(...asked)
      return published.isUp ? Response.json({ keys: published.keys }) : new Response(null, { status: 500 })
    })
    closers.push(() => vi.unstubAllGlobals())
    const one = await api({ keys: undefined, jwksUri: JWKS } as never)
    const from = (by: typeof own, keyId?: string) =>
      relayTo({
        store: log(),
        apis: [{ endpoint: one.endpoint, audience: AUDIENCE }],
        timeoutSeconds: NOTICE_SECONDS,
        dangerouslyAllowHttp: true,
        privateKey: by.privateKey,
        ...(keyId !== undefined && { keyId }),
      })
    return { ...one, published, from }
  }

  const jwkOf = async (by: typeof own, kid?: string): Promise<JWK> => ({
    ...(await exportJWK(by.publicKey)),
    ...(kid !== undefined && { kid }),
  })

  it.each<readonly [string, string | undefined, string | undefined, boolean]>([
    ['neither key has an id', undefined, undefined, false],
    ['neither key has an id, and both are published', undefined, undefined, true],
    ['both keys have an id', 'old', 'new', true],
    ['both keys have the same id', 'k', 'k', false],
  ])('goes on telling the API, whatever strangers send: %s', async (_how, before, after, areBoth) => {
    const { published, from, isRevoked, pass } = await scene()
    published.keys = [await jwkOf(own, before)]
    await from(own, before).refresh()
    expect(await isRevoked({ sid: 's2' })).toBe(false)
    await expect(from(await generateKeyPair('ES256'), 'invented').refresh()).rejects.toThrow()
    published.keys = [...(areBoth ? published.keys : []), await jwkOf(foreign, after)]
    pass(6)
    expect(await isRevoked({ sid: 's2' })).toBe('store_failed')
    await from(foreign, after).refresh()
    expect(await isRevoked({ sid: 's2' })).toBe(false)
  })

  it('is answered 503 and not 400 while its keys cannot be had', async () => {
    const { published, endpoint } = await scene()
    published.isUp = false
    const notice = new SignJWT({ iss: RELAY, aud: AUDIENCE, iat: seconds(), jti: randomUUID() })
    const body = await notice.setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt' }).sign(own.privateKey)
    const headers = { 'Content-Type': 'application/secevent+jwt' }
    expect((await fetch(endpoint, { method: 'POST', headers, body })).status).toBe(503)
  })
})

it.each<readonly [string, object]>([
  ['issuer', { issuer: '' }],
  ['audience', { audience: undefined }],
  ['jwksUri', { jwksUri: 'https://rp.example.com/jwks' }],
  ['keys', { keys: undefined }],
  ['algorithms', { algorithms: ['HS256'] }],
  ['boundSeconds', { boundSeconds: 0 }],
])('createRelayReceiver refuses at start-up what cannot work: %s', (option, bad) => {
  const good = { issuer: RELAY, audience: AUDIENCE, keys: createLocalJWKSet({ keys: [] }) }
  expect(() => createRelayReceiver({ ...good, ...bad })).toThrow(TypeError)
  expect(() => createRelayReceiver({ ...good, ...bad })).toThrow(option)
})
