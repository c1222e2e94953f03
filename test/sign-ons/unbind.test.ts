// A local logout ends the session, its tokens, and what its own request still writes.

import { describe, expect, it } from 'vitest'
import { create, events, freshSession, idToken, load, request, saveSession } from './one-session.js'

freshSession()

describe('unbind', () => {
  it('ends a session that was never bound as well, also against its own last save', async () => {
    const logout = create()
    const req = request('a')
    await saveSession(req)
    await logout.unbind(req)
    await saveSession(req)
    expect(await load('a')).toBeFalsy()
  })

  it('reports no resurrection for the save of the request that asked for it', async () => {
    const logout = create()
    const req = request('a')
    await logout.bind(req, idToken)
    await logout.unbind(req)
    const data = Object.defineProperty({ ...req.session }, 'req', { value: req, enumerable: false })
    await saveSession({ ...req, session: data })
    // Keys are fetched beside a login, and this provider is not there.
    const heard = () => events.map(({ type }) => type).filter((type) => type !== 'warning')
    expect(heard()).toEqual(['bound', 'unbound'])
    await saveSession(req)
    expect(heard()).toEqual(['bound', 'unbound', 'resurrection-blocked'])
  })
})
