// One stateless sign-on that is ended alone, and how long it stays dead.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, memoryStore } from '../../src/index.js'
import { targetKey } from '../../src/marks/target.js'

const client = { issuer: 'https://op.example', clientId: 'rp' }

function rp() {
  let now = 1_700_000_000
  const clock = () => now
  const store = memoryStore({ clock })
  const logout = createBackchannelLogout({ provider: client, store, clock })
  const claims = (sid?: string, iat = now) => ({ iss: client.issuer, aud: client.clientId, sub: 'alice', sid, iat })
  const endedByOp = (sid: string) =>
    store.begin({
      target: targetKey({ ...client, sid, sub: 'alice' }),
      issuedAt: now,
      seenSecondsAgo: 0,
      marksExpireAt: now + 10_000,
      mayDestroy: false,
    })
  return { logout, store, clock, claims, endedByOp, pass: (seconds: number) => (now += seconds) }
}

describe('end', () => {
  it.each(['op-session', undefined])('ends one sign-on alone, and SSO works at once (sid: %s)', async (sid) => {
    const { logout, claims, pass } = rp()
    const [laptop, phone] = [await logout.signOn(claims(sid)), await logout.signOn(claims(sid))]
    if (laptop === undefined || phone === undefined) throw new Error('nobody signed in')
    await logout.end(laptop)
    expect(await logout.isLive(laptop)).toBe(false)
    expect(await logout.isLive(phone)).toBe(true)
    pass(1)
    expect(await logout.signOn(claims(sid))).toBeDefined()
    expect(await logout.isLive(laptop)).toBe(false)
  })

  it('ends a record of an earlier release, which has no id, and does nothing without a record', async () => {
    const { logout, clock } = rp()
    const old = { ...client, sub: 'alice', boundAt: clock() - 5 }
    expect(await logout.isLive(old)).toBe(true)
    await logout.end(old)
    expect(await logout.isLive(old)).toBe(false)
    await logout.end(undefined)
  })
})

describe('an iat that cannot be true', () => {
  it.each([1_700_000_000_000, 1_700_000_000 + 3600])('%s counts as older than any logout', async (iat) => {
    const { logout, claims, endedByOp } = rp()
    await endedByOp('s')
    expect(await logout.signOn(claims('s', iat))).toBeUndefined()
  })
})

describe('the end of a long life', () => {
  const lifetime = 1_000_000

  /** The clock of this node is a second behind the store's, and nothing has told it so. */
  function behind() {
    let now = 1_700_000_000
    const store = memoryStore({ clock: () => now })
    const options = { provider: client, store, clock: () => now - 1, sessionLifetimeSeconds: lifetime }
    const claims = { iss: client.issuer, aud: client.clientId, sub: 'alice', sid: 'S1', iat: now - 1 }
    const fresh = () => createBackchannelLogout(options)
    return { fresh, claims, pass: (seconds: number) => (now += seconds) }
  }

  it.each([
    ['a logout by sid', (logout: Logout) => logout.terminate({ ...client, sid: 'S1' })],
    ['a logout by sub', (logout: Logout) => logout.terminate({ ...client, sub: 'alice' })],
    ['a local logout', (logout: Logout, record: SignOn) => logout.end(record)],
  ])(
    'after %s a dead sign-on stays dead half a second before its end, at a node whose clock is a second behind',
    async (_, end) => {
      const { fresh, claims, pass } = behind()
      const [dead, alive] = [await fresh().signOn(claims), await fresh().signOn({ ...claims, sub: 'bob', sid: 'S2' })]
      if (dead === undefined || alive === undefined) throw new Error('nobody signed in')
      await end(fresh(), dead)
      pass(lifetime - 0.5)
      expect(await fresh().isLive(alive)).toBe(true)
      expect(await fresh().isLive(dead)).toBe(false)
      pass(1)
      expect(await fresh().isLive(alive)).toBe(false)
      expect(await fresh().isLive(dead)).toBe(false)
    },
  )
})

type Logout = ReturnType<typeof createBackchannelLogout>
type SignOn = NonNullable<Awaited<ReturnType<Logout['signOn']>>>
