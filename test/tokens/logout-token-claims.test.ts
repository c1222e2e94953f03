import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ClaimRules, checkLogoutClaims } from '../../src/tokens/logout-token-claims.js'
import { CLIENT_ID, ISSUER, NOW, refusalOf } from './verifying.js'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

const RULES: ClaimRules = {
  client: { issuer: ISSUER, clientId: CLIENT_ID },
  trustedAudiences: [],
  clockToleranceSeconds: 60,
  maxAgeSeconds: 300,
  allowMissingExp: false,
  ignoreSid: false,
  backchannelLogoutSessionRequired: false,
}

const VALID = {
  iss: ISSUER,
  aud: CLIENT_ID,
  iat: NOW,
  exp: NOW + 120,
  jti: 'bWJq',
  sub: '248289761001',
  sid: '08a5019c-17e1-4977-8f42-65a12843ea02',
  events: { [EVENT]: {} },
}

type Changed = Readonly<Record<string, unknown>>

/** Members given as `undefined` are absent, as JSON has it. */
function claimsWith(change: Changed): Changed {
  return Object.fromEntries(Object.entries({ ...VALID, ...change }).filter(([, value]) => value !== undefined))
}

function check(change: Changed = {}, rules: Partial<ClaimRules> = {}, singleAudience = false) {
  return checkLogoutClaims(claimsWith(change), { ...RULES, ...rules }, { now: NOW, singleAudience, ownClientIds: [] })
}

async function ruleBroken(change: Changed, rules: Partial<ClaimRules> = {}, singleAudience = false) {
  const { reason, claim, option } = await refusalOf((async () => check(change, rules, singleAudience))())
  return [reason, claim, option]
}

describe('the claims of a valid token', () => {
  it('become the target, its dates and its id', () => {
    expect(check()).toEqual({
      target: { issuer: ISSUER, clientId: CLIENT_ID, sid: VALID.sid, sub: VALID.sub },
      issuedAt: NOW,
      jti: 'bWJq',
      replayUntil: NOW + 120 + 60,
      revokeOfflineAccess: false,
    })
  })
})

describe('one change', () => {
  it.each<[string, Changed, string, string, string?]>([
    ['iss absent', { iss: undefined }, 'iss_missing', 'iss'],
    ['iss of another', { iss: `${ISSUER}.evil.example` }, 'iss_mismatch', 'iss'],
    ['iss with a slash more', { iss: `${ISSUER}/` }, 'iss_mismatch', 'iss'],
    ['iss in another case', { iss: ISSUER.toUpperCase() }, 'iss_mismatch', 'iss'],
    ['iss in an array', { iss: [ISSUER] }, 'iss_mismatch', 'iss'],
    ['aud absent', { aud: undefined }, 'aud_missing', 'aud'],
    ['aud null', { aud: null }, 'aud_invalid', 'aud'],
    ['aud an object', { aud: { [CLIENT_ID]: true } }, 'aud_invalid', 'aud'],
    ['aud with a number', { aud: [CLIENT_ID, 1] }, 'aud_invalid', 'aud'],
    ['aud nested', { aud: [[CLIENT_ID]] }, 'aud_invalid', 'aud'],
    ['aud of another', { aud: 'another' }, 'aud_mismatch', 'aud'],
    ['aud longer than ours', { aud: `${CLIENT_ID}1` }, 'aud_mismatch', 'aud'],
    ['aud empty', { aud: [] }, 'aud_mismatch', 'aud'],
    ['aud with an untrusted one', { aud: [CLIENT_ID, 'another'] }, 'aud_untrusted', 'aud', 'trustedAudiences'],
    ['azp of another', { azp: 'another' }, 'azp_mismatch', 'azp'],
    ['azp null', { azp: null }, 'azp_mismatch', 'azp'],
    ['iat absent', { iat: undefined }, 'iat_missing', 'iat'],
    ['iat null', { iat: null }, 'iat_invalid', 'iat'],
    ['iat a string', { iat: String(NOW) }, 'iat_invalid', 'iat'],
    ['iat infinite', { iat: Number.NEGATIVE_INFINITY }, 'iat_invalid', 'iat'],
    ['iat ahead', { iat: NOW + 60.5 }, 'iat_in_future', 'iat', 'clockToleranceSeconds'],
    ['iat in milliseconds', { iat: NOW * 1000 }, 'iat_in_future', 'iat', 'clockToleranceSeconds'],
    ['iat long ago', { iat: NOW - 360 }, 'too_old', 'iat', 'maxAgeSeconds'],
    ['exp absent', { exp: undefined }, 'exp_missing', 'exp', 'allowMissingExp'],
    ['exp null', { exp: null }, 'exp_invalid', 'exp'],
    ['exp a string', { exp: String(NOW + 120) }, 'exp_invalid', 'exp'],
    ['exp infinite', { exp: Number.POSITIVE_INFINITY }, 'exp_invalid', 'exp'],
    ['exp passed', { iat: NOW - 90, exp: NOW - 60 }, 'exp_past', 'exp', 'clockToleranceSeconds'],
    ['nbf null', { nbf: null }, 'nbf_invalid', 'nbf'],
    ['nbf a string', { nbf: String(NOW) }, 'nbf_invalid', 'nbf'],
    ['nbf ahead', { nbf: NOW + 61 }, 'nbf_in_future', 'nbf', 'clockToleranceSeconds'],
    ['neither sub nor sid', { sub: undefined, sid: undefined }, 'target_missing', 'sub'],
    ['both null', { sub: null, sid: null }, 'target_missing', 'sub'],
    ['sub empty', { sub: '' }, 'sub_invalid', 'sub'],
    ['sub a number', { sub: 248289761001 }, 'sub_invalid', 'sub'],
    ['sub of 256', { sub: 's'.repeat(256) }, 'sub_invalid', 'sub'],
    ['sub with NUL', { sub: 'a\0b' }, 'sub_invalid', 'sub'],
    ['sub with a C1 control', { sub: 'a\u0085b' }, 'sub_invalid', 'sub'],
    ['sid empty', { sid: '' }, 'sid_invalid', 'sid'],
    ['sid an array', { sid: ['s'] }, 'sid_invalid', 'sid'],
    ['sid of 1025', { sid: 's'.repeat(1025) }, 'sid_invalid', 'sid'],
    ['sid with a line end', { sid: 'a\nb' }, 'sid_invalid', 'sid'],
    ['events absent', { events: undefined }, 'events_missing', 'events'],
    ['events null', { events: null }, 'events_invalid', 'events'],
    ['events an array', { events: [EVENT] }, 'events_invalid', 'events'],
    ['events a string', { events: EVENT }, 'events_invalid', 'events'],
    ['events empty', { events: {} }, 'event_missing', 'events'],
    ['another event', { events: { 'http://schemas.openid.net/event/foobar': {} } }, 'event_missing', 'events'],
    ['the event inherited', { events: Object.create({ [EVENT]: {} }) }, 'event_missing', 'events'],
    ['the event null', { events: { [EVENT]: null } }, 'event_invalid', 'events'],
    ['the event an array', { events: { [EVENT]: [] } }, 'event_invalid', 'events'],
    ['the event true', { events: { [EVENT]: true } }, 'event_invalid', 'events'],
    ['nonce', { nonce: 'n-0S6_WzA2Mj' }, 'nonce_present', 'nonce'],
    ['nonce null', { nonce: null }, 'nonce_present', 'nonce'],
    ['nonce empty', { nonce: '' }, 'nonce_present', 'nonce'],
    ['nonce false', { nonce: false }, 'nonce_present', 'nonce'],
    ['jti absent', { jti: undefined }, 'jti_missing', 'jti'],
    ['jti null', { jti: null }, 'jti_invalid', 'jti'],
    ['jti empty', { jti: '' }, 'jti_invalid', 'jti'],
    ['jti a number', { jti: 1 }, 'jti_invalid', 'jti'],
  ])('%s is refused', async (_, change, reason, claim, option) => {
    expect(await ruleBroken(change)).toEqual([reason, claim, option])
  })

  it.each<[string, Changed]>([
    ['aud in an array', { aud: [CLIENT_ID] }],
    ['aud twice', { aud: [CLIENT_ID, CLIENT_ID] }],
    ['azp of ours', { azp: CLIENT_ID }],
    ['iat ahead within the tolerance', { iat: NOW + 60 }],
    ['iat old within bound and tolerance', { iat: NOW - 359.5 }],
    ['fractions of seconds', { iat: NOW + 0.25, exp: NOW + 120.75 }],
    ['exp passed within the tolerance', { iat: NOW - 90, exp: NOW - 59.5 }],
    ['exp in an hour', { exp: NOW + 3600 }],
    ['nbf at iat', { nbf: NOW }],
    ['nbf ahead within the tolerance', { nbf: NOW + 60 }],
    ['sub of 255', { sub: 's'.repeat(255) }],
    ['a sid of standard base64', { sid: 'S4GgvZ6bE+0qk1fQy/7nR2pV8m0=' }],
    ['the event with members', { events: { [EVENT]: { reason: 'idle' } } }],
    ['other events of any type', { events: { [EVENT]: {}, 'urn:other': 1, revoke_offline_access: 'yes' } }],
    ['unknown claims', { typ: 'Logout', trace_id: 'x', session_metadata: { device: 'kiosk' } }],
    ['a short jti', { jti: 'x' }],
  ])('%s is taken', (_, change) => {
    expect(check(change).target).toMatchObject({ issuer: ISSUER, clientId: CLIENT_ID })
  })
})

describe('the target', () => {
  const client = { issuer: ISSUER, clientId: CLIENT_ID }

  it('is the sid where there is one, narrowed by the sub', () => {
    expect(check({ sub: undefined }).target).toEqual({ ...client, sid: VALID.sid })
    expect(check({ sub: null }).target).toEqual({ ...client, sid: VALID.sid })
  })

  it('is the sub where there is no sid', () => {
    expect(check({ sid: undefined }).target).toEqual({ ...client, sub: VALID.sub })
    expect(check({ sid: null }).target).toEqual({ ...client, sub: VALID.sub })
  })

  it('with ignoreSid is the sub, and without sub nothing', async () => {
    expect(check({}, { ignoreSid: true }).target).toEqual({ ...client, sub: VALID.sub })
    expect(await ruleBroken({ sub: undefined }, { ignoreSid: true })).toEqual(['sub_missing', 'sub', 'ignoreSid'])
  })

  it('must be a sid where the provider is said to always send one', async () => {
    expect(check({}, { backchannelLogoutSessionRequired: true }).target).toMatchObject({ sid: VALID.sid })
    expect(await ruleBroken({ sid: undefined }, { backchannelLogoutSessionRequired: true })).toEqual([
      'sid_missing',
      'sid',
      'backchannelLogoutSessionRequired',
    ])
    expect(await ruleBroken({ sid: null }, { backchannelLogoutSessionRequired: true })).toEqual([
      'sid_missing',
      'sid',
      'backchannelLogoutSessionRequired',
    ])
  })
})

describe('options', () => {
  it('allowMissingExp takes an absent exp, and no other defect of it', async () => {
    expect(check({ exp: undefined }, { allowMissingExp: true }).replayUntil).toBe(NOW + 300 + 60)
    expect(await ruleBroken({ exp: null }, { allowMissingExp: true })).toEqual(['exp_invalid', 'exp', undefined])
    expect(await ruleBroken({ exp: undefined, iat: NOW - 360 }, { allowMissingExp: true })).toEqual([
      'too_old',
      'iat',
      'maxAgeSeconds',
    ])
  })

  it('trustedAudiences may stand beside the client id, not in its place', async () => {
    const rules = { trustedAudiences: ['api'] }
    expect(check({ aud: [CLIENT_ID, 'api'] }, rules).jti).toBe('bWJq')
    expect(await ruleBroken({ aud: 'api' }, rules)).toEqual(['aud_mismatch', 'aud', undefined])
  })

  it('the client secret as key demands a single audience, trusted or not', async () => {
    expect(check({ aud: [CLIENT_ID] }, {}, true).jti).toBe('bWJq')
    expect(await ruleBroken({ aud: [CLIENT_ID, 'api'] }, { trustedAudiences: ['api'] }, true)).toEqual([
      'aud_not_single',
      'aud',
      undefined,
    ])
  })

  it('revoke_offline_access is reported only if it is true', () => {
    expect(check({ events: { [EVENT]: {}, revoke_offline_access: true } }).revokeOfflineAccess).toBe(true)
    expect(check({ events: { [EVENT]: {}, revoke_offline_access: 'true' } }).revokeOfflineAccess).toBe(false)
    expect(check({ events: { [EVENT]: { revoke_offline_access: true } } }).revokeOfflineAccess).toBe(false)
  })
})

describe('a jti', () => {
  const RUNS = 2000
  const offset = fc.double({ min: -1000, max: 1000, noNaN: true })

  it('is remembered exactly as long as its token would be taken', async () => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(offset, fc.option(offset, { nil: undefined }), offset, async (iat, exp, later) => {
        const rules: ClaimRules = { ...RULES, allowMissingExp: true }
        const claims = claimsWith({ iat: NOW + iat, exp: exp === undefined ? undefined : NOW + exp })
        const at = (now: number) => () =>
          checkLogoutClaims(claims, rules, { now: now, singleAudience: false, ownClientIds: [] })
        const first = attempt(at(NOW))
        if (first === undefined) return
        taken += 1
        const now = NOW + Math.abs(later)
        expect(attempt(at(now)) !== undefined).toBe(now < first.replayUntil)
      }),
      { numRuns: RUNS },
    )
    expect(taken).toBeGreaterThan(RUNS / 20)
  })

  function attempt<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch {
      return undefined
    }
  }
})
