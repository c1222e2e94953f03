// Of which ID Tokens a login is believed, and what is said of one that cannot be.

import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { clientId, create, events, freshSession, idToken, issuer, load, rows, save } from './one-session.js'

freshSession()

describe('bind believes only claims of a configured provider', () => {
  it.each([
    ['no claims', undefined, 'claims_missing', undefined],
    ['the ID Token itself', 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln', 'claims_encoded', undefined],
    ['a function that nobody called', () => idToken, 'claims_uncalled', undefined],
    ['all tokens', { id_token: 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln', access_token: 'a' }, 'token_response', undefined],
    ['no issuer', { ...idToken, iss: undefined }, 'iss_missing', 'iss'],
    ['another issuer', { ...idToken, iss: 'https://op.example.com/' }, 'iss_unknown', 'iss'],
    ['another client', { ...idToken, aud: ['other'] }, 'aud_unknown', 'aud'],
    ['no subject', { ...idToken, sub: '' }, 'sub_missing', 'sub'],
    ['a sid that is no string', { ...idToken, sid: 7 }, 'sid_invalid', 'sid'],
    ['a sub that no Logout Token may name', { ...idToken, sub: 'a'.repeat(256) }, 'sub_invalid', 'sub'],
    ['a sub of two lines', { ...idToken, sub: 'a\nb' }, 'sub_invalid', 'sub'],
    ['a sid that no Logout Token may name', { ...idToken, sid: 's'.repeat(1025) }, 'sid_invalid', 'sid'],
    ['a sid with a control character', { ...idToken, sid: 'a\u0080' }, 'sid_invalid', 'sid'],
    [
      'a Logout Token',
      { ...idToken, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      'logout_token',
      'events',
    ],
  ])('%s: ERR_ID_TOKEN, and the session is not saved', async (_, claims, reason, claim) => {
    const logout = create()
    await expect(logout.bind({ sessionId: 'a' }, claims as never)).rejects.toMatchObject({
      code: 'ERR_ID_TOKEN',
      reason,
      claim,
    })
    await save('a')
    expect(await load('a')).toBeFalsy()
  })

  it('takes an audience among several, a null sid and a missing iat', async () => {
    const logout = create()
    const claims = { iss: issuer, aud: ['api', clientId], sub: 'alice', sid: null }
    expect(await logout.bind({ sessionId: 'a' }, claims)).toEqual({ ended: false })
    await save('a')
    expect(await logout.terminate({ issuer, clientId, sub: 'alice' })).toMatchObject({ complete: true, destroyed: 1 })
    expect(await load('a')).toBeFalsy()
  })

  it('without a sid, where its provider names nothing else in Logout Tokens: the login does not stand', async () => {
    const logout = create({ backchannelLogoutSessionRequired: true })
    const login = logout.bind({ sessionId: 'a' }, { ...idToken, sid: undefined })
    await expect(login).rejects.toMatchObject({ code: 'ERR_ID_TOKEN', reason: 'sid_missing', claim: 'sid' })
    await save('a')
    expect(await load('a')).toBeFalsy()
    expect(await logout.bind({ sessionId: 'b' }, idToken)).toEqual({ ended: false })
  })

  it.each([
    ['in milliseconds', Date.now()],
    ['far ahead', Date.now() / 1000 + 3600],
  ])('an iat %s is no date: the login counts as older than any logout, and that is said', async (_, iat) => {
    const logout = create()
    await logout.bind({ sessionId: 'a' }, { ...idToken, iat })
    const error = expect.objectContaining({ reason: 'iat_untrue' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'warning', error }))
  })

  it('warns of a login without iat, which counts as older than any logout', async () => {
    await create().bind({ sessionId: 'a' }, { ...idToken, iat: undefined })
    const error = expect.objectContaining({ reason: 'iat_missing' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'warning', error }))
  })

  it('binds a token for several of our clients to the one it was issued to', async () => {
    const logout = createBackchannelLogout({
      provider: [
        { issuer, clientId: 'web' },
        { issuer, clientId },
      ],
      sessions: expressSessions(rows),
    })
    const claims = { ...idToken, aud: ['web', clientId] }
    await expect(logout.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject({ reason: 'aud_unknown' })
    await logout.bind({ sessionId: 'b' }, { ...claims, azp: clientId })
    expect(await logout.terminate({ issuer, clientId, sid: 'S1' })).toMatchObject({ destroyed: 1 })
  })

  it('is a TypeError where there is no session, or no session backend', async () => {
    await expect(create().bind({ sessionID: undefined, session: undefined }, idToken)).rejects.toThrow(TypeError)
    const stateless = createBackchannelLogout({ provider: { issuer, clientId } })
    await expect(stateless.bind({}, idToken)).rejects.toThrow(/signOn\(\) and guard\(\)/)
  })
})
