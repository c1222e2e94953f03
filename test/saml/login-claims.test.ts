// What of a login's assertion becomes a claim: read from what node-saml verified, not from the user's attributes.
import type { Profile } from '@node-saml/node-saml'
import { describe, expect, it } from 'vitest'
import { EMAIL, IDP, instant, PERSISTENT, SP } from './forge.js'
import { type World, world } from './world.js'

const seconds = (time: string) => Date.parse(time) / 1000

describe('the claims of a login', () => {
  it('are its issuer, our entity id, NameID, SessionIndex, IssueInstant and AuthnInstant', async () => {
    const issueInstant = instant(-1)
    const sp = world()
    const claims = sp.slo.claims(await sp.profileOf({ issueInstant }))
    const { sub, sid } = sp.slo.target({ nameID: 'ada', nameIDFormat: PERSISTENT }, 'laptop')
    expect(claims).toEqual({
      iss: IDP,
      aud: SP,
      sub,
      sid,
      iat: seconds(issueInstant),
      auth_time: seconds(issueInstant),
    })
  })

  it('have every part of the NameID, also where node-saml’s profile leaves it out', async () => {
    const sp = world()
    const attributes = { NameQualifier: 'q', SPNameQualifier: 's', SPProvidedID: 'p' }
    const profile = await sp.profileOf({ nameId: { value: 'ada', attributes } })
    expect(profile.nameQualifier).toBeUndefined()
    const { sub } = sp.slo.target({ nameID: 'ada', nameQualifier: 'q', spNameQualifier: 's', spProvidedID: 'p' })
    expect(sp.slo.claims(profile)).toMatchObject({ sub })
  })

  it.each([
    ['record', (sp: World, profile: Profile) => sp.slo.record(profile)],
    ['profile', (_: World, profile: Profile) => profile],
  ])('are ended by terminate with what its %s names, of all parts of the NameID', async (_, kept) => {
    for (const attributes of [
      { Format: PERSISTENT, SPProvidedID: 'p' },
      { NameQualifier: 'q', SPNameQualifier: 's' },
    ]) {
      const sp = world()
      const login = { nameId: { value: 'ada', attributes } }
      const [ada, other] = [await sp.signIn(login), await sp.signIn()]
      const record = kept(sp, await sp.profileOf(login))
      if (record === undefined) throw new Error('no record')
      expect(await sp.logout.terminate(sp.slo.target(record))).toMatchObject({ complete: true })
      expect(await sp.logout.isLive(ada)).toBe(false)
      expect(await sp.logout.isLive(other)).toBe(true)
    }
  })

  it('take a NameID with a comment in it whole', async () => {
    const sp = world()
    const nameId = { value: 'ada@example.com<!-- -->.evil.com', attributes: { Format: EMAIL } }
    const { sub } = sp.slo.target({ nameID: 'ada@example.com.evil.com', nameIDFormat: EMAIL })
    expect(sp.slo.claims(await sp.profileOf({ nameId }))).toMatchObject({ sub })
  })

  it('SessionNotOnOrAfter ends the session, through the claim that caps every login', async () => {
    const start = Date.now() / 1000
    let now = start
    const sp = world({ clock: () => now })
    const signOn = await sp.signIn({ sessionNotOnOrAfter: instant(100) })
    now = start + 99
    expect(await sp.logout.isLive(signOn)).toBe(true)
    now = start + 101
    expect(await sp.logout.isLive(signOn)).toBe(false)
  })

  it('a SessionNotOnOrAfter that is no time lets nobody in', async () => {
    const sp = world()
    const claims = sp.slo.claims(await sp.profileOf({ sessionNotOnOrAfter: 'never' }))
    await expect(sp.logout.signOn(claims)).rejects.toMatchObject({ reason: 'session_expiry_untrue' })
  })

  it('of several statements: the earliest end, and no sid where they are of several sessions', async () => {
    const sp = world()
    const statement = (index: string, end: string) =>
      `<saml:AuthnStatement AuthnInstant="${instant()}" SessionIndex="${index}" SessionNotOnOrAfter="${end}"><saml:AuthnContext><saml:AuthnContextClassRef>x</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`
    const [soon, late] = [instant(100), instant(200)]
    const two = await sp.profileOf({ statements: statement('1', late) + statement('2', soon) })
    expect(sp.slo.claims(two)).toMatchObject({ session_expiry: seconds(soon) })
    expect(sp.slo.claims(two)).not.toHaveProperty('sid')
    const one = await sp.profileOf({ statements: statement('1', late) + statement('1', soon) })
    expect(sp.slo.claims(one)).toHaveProperty('sid')
  })

  it('an assertion of another issuer binds nobody', async () => {
    const sp = world()
    const claims = sp.slo.claims(await sp.profileOf({ issuer: 'https://idp.example.com/other' }))
    await expect(sp.logout.signOn(claims)).rejects.toMatchObject({ code: 'ERR_ID_TOKEN', reason: 'iss_unknown' })
  })

  it('a profile that went through a session has none: TypeError, with the remedy', async () => {
    const sp = world()
    const kept = JSON.parse(JSON.stringify(await sp.profileOf()))
    expect(() => sp.slo.claims(kept)).toThrow(/getAssertion/)
    expect(() => sp.slo.record(kept)).toThrow(/getAssertion/)
  })

  it('the record for a logout is JSON, and names the user as node-saml does', async () => {
    const sp = world()
    const nameId = { value: 'ada', attributes: { Format: PERSISTENT, NameQualifier: IDP, SPNameQualifier: SP } }
    const record = sp.slo.record(await sp.profileOf({ nameId }))
    expect(JSON.parse(JSON.stringify(record))).toEqual({
      nameID: 'ada',
      nameIDFormat: PERSISTENT,
      nameQualifier: IDP,
      spNameQualifier: SP,
      sessionIndex: 'laptop',
    })
  })
})
