// A target that names nobody, or a client that is not configured, is a mistake.

import { describe, expect, it } from 'vitest'
import { clientId, create, freshSession, issuer } from '../sign-ons/one-session.js'

freshSession()

describe('terminate', () => {
  it('refuses a target that names nobody', async () => {
    const logout = create()
    const terminate = (target: object) => Reflect.apply(logout.terminate, logout, [target])
    await expect(terminate({ issuer, clientId })).rejects.toThrow(TypeError)
    await expect(terminate({ issuer, clientId, sub: '' })).rejects.toThrow(TypeError)
    await expect(terminate({ sub: 'alice' })).rejects.toThrow(TypeError)
    await expect(terminate({ issuer: `${issuer}/`, clientId, sub: 'alice' })).rejects.toThrow(/not configured/)
  })
})
