// terminate(): the same logout without a Logout Token, as administrators and other protocols ask for it.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutEvent, type SessionBackend } from '../../src/index.js'

const CLIENT = { issuer: 'https://op.example', clientId: 'rp' } as const

function createRp() {
  const rows = new Set<string>()
  const events: LogoutEvent[] = []
  let now = 1_800_000_000
  let isDown = false
  const sessions: SessionBackend<string> = {
    sessionOf: (sessionId) => ({ sessionId }),
    destroy: async (id) => {
      if (isDown) throw new Error('down')
      rows.delete(id)
    },
    protect: () => {},
    bound: () => {},
    released: () => {},
  }
  const logout = createBackchannelLogout({
    provider: CLIENT,
    sessions,
    clock: () => now,
    onEvent: (event) => events.push(event),
  })
  const signIn = (id: string, sub: string) => {
    rows.add(id)
    return logout.bind(id, { iss: CLIENT.issuer, aud: CLIENT.clientId, sub, sid: `sid of ${id}`, iat: now })
  }
  return {
    logout,
    rows,
    events,
    signIn,
    pass: (seconds: number) => {
      now += seconds
    },
    goDown: (down: boolean) => {
      isDown = down
    },
  }
}

describe('terminate', () => {
  it('ends what it names, says what came of it, and is idempotent', async () => {
    const rp = createRp()
    await rp.signIn('s1', 'alice')
    await rp.signIn('s2', 'alice')
    await rp.signIn('s3', 'bob')
    const target = { ...CLIENT, sub: 'alice' }
    expect(await rp.logout.terminate(target, { reason: 'administrator' })).toEqual({
      complete: true,
      marked: true,
      found: 2,
      destroyed: 2,
      failed: 0,
    })
    expect([...rp.rows]).toEqual(['s3'])
    expect(rp.events.at(-1)).toMatchObject({ type: 'logout', reason: 'administrator', scope: 'sub', found: 2 })
    expect(await rp.logout.terminate(target)).toEqual({
      complete: true,
      marked: true,
      found: 0,
      destroyed: 0,
      failed: 0,
    })
    expect([...rp.rows]).toEqual(['s3'])
  })

  it('lets the next login live, and ends that one too when it is asked again', async () => {
    const rp = createRp()
    const target = { ...CLIENT, sub: 'alice' }
    await rp.logout.terminate(target)
    rp.pass(1)
    expect(await rp.signIn('s1', 'alice')).toEqual({ ended: false })
    rp.pass(1)
    expect(await rp.logout.terminate(target)).toMatchObject({ found: 1, destroyed: 1 })
    expect(rp.rows.size).toBe(0)
  })

  it('does not reject when a session cannot be destroyed: it reports it, and a second call finds the rest', async () => {
    const rp = createRp()
    await rp.signIn('s1', 'alice')
    rp.goDown(true)
    const target = { ...CLIENT, sid: 'sid of s1' }
    expect(await rp.logout.terminate(target)).toMatchObject({
      complete: false,
      marked: true,
      found: 1,
      destroyed: 0,
      failed: 1,
      error: { code: 'ERR_SESSIONS' },
    })
    rp.goDown(false)
    expect(await rp.logout.terminate(target)).toMatchObject({ complete: true, found: 1, destroyed: 1 })
    rp.logout.close()
  })

  it.each([
    [{ ...CLIENT }],
    [{ ...CLIENT, sub: '' }],
    [{ ...CLIENT, sid: '', sub: 'alice' }],
    [{ issuer: CLIENT.issuer, sub: 'alice' }],
  ])('refuses %j, which names nobody', async (target) => {
    const rp = createRp()
    await rp.signIn('s1', 'alice')
    await expect(rp.logout.terminate(target as never)).rejects.toThrow(TypeError)
    expect([...rp.rows]).toEqual(['s1'])
  })
})
