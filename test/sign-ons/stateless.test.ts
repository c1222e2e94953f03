// One stateless sign-on that is ended alone, and logins that say when they were begun.
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

describe('startedAt', () => {
  it('lets a login live that was begun after the logout, and no other of the same moment', async () => {
    const { logout, claims, endedByOp, clock, pass } = rp()
    const before = clock()
    await endedByOp('s')
    pass(0.1)
    expect(await logout.signOn(claims('s'), { startedAt: before - 0.1 })).toBeUndefined()
    expect(await logout.signOn(claims('s'))).toBeUndefined()
    expect(await logout.signOn(claims('s'), { startedAt: clock() })).toBeDefined()
  })

  it('in milliseconds is a mistake that is said', async () => {
    const { logout, claims } = rp()
    await expect(logout.signOn(claims('s'), { startedAt: 1_700_000_000_000 })).rejects.toThrow(/epoch seconds/)
  })
})

describe('an iat that cannot be true', () => {
  it.each([1_700_000_000_000, 1_700_000_000 + 3600])('%s counts as older than any logout', async (iat) => {
    const { logout, claims, endedByOp } = rp()
    await endedByOp('s')
    expect(await logout.signOn(claims('s', iat))).toBeUndefined()
  })
})
