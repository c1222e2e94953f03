import { describe, expect, it } from 'vitest'
import { PRESET_NAMES, type PresetName, preset } from '../../src/providers/presets.js'
import type { MintAlgorithm } from '../../src/testing/mint-keys.js'
import type { Change } from '../../src/testing/token-change.js'
import { CLIENT_ID, ISSUER, mintOf, NOW, providerOf, ruleOf, verify } from '../tokens/verifying.js'

/** What is odd about a provider's tokens, and the option without which they are refused. */
interface Habit {
  readonly algorithm?: MintAlgorithm
  readonly change?: Change
  readonly needs: readonly string[]
  readonly retriesOn503?: true
}

const HABITS: Record<PresetName, Habit> = {
  keycloak: {
    change: { payload: { typ: 'Logout', events: { [event()]: {}, revoke_offline_access: true } } },
    needs: [],
  },
  'ory-hydra': {
    change: { header: { typ: 'JWT' }, payload: { aud: [CLIENT_ID], sub: undefined, exp: undefined } },
    needs: ['allowMissingExp'],
    retriesOn503: true,
  },
  duende: { change: { payload: { nbf: NOW, exp: NOW + 300, logout_reason: 'user_logout' } }, needs: [] },
  identityserver4: {
    change: { header: { typ: 'at+jwt', x5t: 'mh87XH0uT2A' }, payload: { nbf: NOW } },
    needs: ['additionalTyp'],
  },
  'oidc-provider': { change: { payload: { sid: undefined } }, needs: [] },
  logto: { algorithm: 'ES384', needs: ['algorithms'] },
  auth0: { change: { header: { typ: 'JWT' }, payload: { trace_id: '94eb1c2fd84f1d04' } }, needs: [] },
  'pingone-aic': {
    change: { header: { typ: 'JWT' }, payload: { sid: 'S4GgvZ6bE+0qk1fQy/7nR2pV8m0=', cause: 'SESSION_IDLE_TIMEOUT' } },
    needs: [],
  },
  cas: { change: { header: { typ: 'JWT' }, payload: { exp: NOW + 60 } }, needs: [] },
  zitadel: {
    change: { header: { typ: 'JWT' }, payload: { aud: [CLIENT_ID], iat: NOW - 1, exp: NOW + 900 } },
    needs: [],
    retriesOn503: true,
  },
  authentik: { change: { payload: { exp: NOW + 300 } }, needs: [], retriesOn503: true },
  'govuk-one-login': {
    algorithm: 'ES256',
    change: { payload: { sid: undefined } },
    needs: ['algorithms'],
    retriesOn503: true,
  },
  casdoor: {
    change: { header: { typ: 'JWT' }, payload: { aud: [CLIENT_ID], exp: undefined, jti: 'admin/ea4fa7f0' } },
    needs: ['allowMissingExp'],
  },
  rauthy: {
    algorithm: 'EdDSA',
    change: {
      header: { typ: 'JWT' },
      payload: { nbf: NOW, exp: NOW + 30, sub: null, typ: 'logout+jwt', azp: CLIENT_ID, jti: 'a8Zk3QpL' },
    },
    needs: ['algorithms'],
    retriesOn503: true,
  },
  wso2: { change: { header: { typ: undefined, x5t: 'NTAxZmMx' } }, needs: [] },
  janssen: { change: { header: { typ: 'JWT' }, payload: { nbf: NOW, exp: NOW + 3600 } }, needs: [] },
  simplesamlphp: { change: { payload: { exp: undefined } }, needs: ['allowMissingExp'] },
  'lemonldap-ng': {
    change: { header: { typ: 'JWT' }, payload: { aud: [CLIENT_ID], exp: undefined, jti: 'K3Z9QX0B' } },
    needs: ['allowMissingExp'],
  },
  'open-liberty': { needs: [] },
  'better-auth': { algorithm: 'EdDSA', needs: ['algorithms'] },
  connect2id: { needs: [] },
  'id-porten': { needs: [] },
  shibboleth: { needs: [] },
  'ibm-verify': { needs: [] },
  'airlock-iam': { needs: [] },
  pingfederate: { needs: [] },
  glewlwyd: {
    change: { header: { typ: 'JWT' }, payload: { exp: undefined } },
    needs: ['allowMissingExp'],
  },
}

function event(): string {
  return 'http://schemas.openid.net/event/backchannel-logout'
}

function algorithmOf({ algorithm }: Habit): { readonly algorithm?: MintAlgorithm } {
  return algorithm === undefined ? {} : { algorithm }
}

describe.each(names())('preset %s', (name) => {
  const habit = HABITS[name]

  it("takes the provider's tokens", async () => {
    const mint = await mintOf(algorithmOf(habit))
    const { target, jti } = await verify(await mint.logoutToken(habit.change), { ...preset(name), ...providerOf(mint) })
    expect(target).toMatchObject({ issuer: ISSUER, clientId: CLIENT_ID })
    expect(jti).not.toBe('')
  })

  it(habit.needs.length === 0 ? 'is not needed for them' : `is needed for them: ${habit.needs}`, async () => {
    const mint = await mintOf(algorithmOf(habit))
    const token = await mint.logoutToken(habit.change)
    const [option] = habit.needs
    if (option === undefined) expect((await verify(token, providerOf(mint))).issuedAt).toBeLessThanOrEqual(NOW)
    else expect(await ruleOf(verify(token, providerOf(mint)))).toMatchObject({ code: 'ERR_TOKEN', option })
  })

  it('has what a retry needs, and no more than the provider needs', () => {
    const { transientFailureStatus, ignoreSid, ...others } = preset(name)
    expect(transientFailureStatus).toBe(habit.retriesOn503 ? 503 : undefined)
    expect(ignoreSid).toBe(name === 'casdoor' ? true : undefined)
    expect(Object.keys(others)).toEqual(habit.needs)
  })

  it('is frozen, lists included', () => {
    expect([preset(name), ...Object.values(preset(name))].every(Object.isFrozen)).toBe(true)
  })
})

describe('casdoor', () => {
  it('acts on sub, since its sid is in no ID Token', async () => {
    const mint = await mintOf()
    const { target } = await verify(await mint.logoutToken(HABITS.casdoor.change), {
      ...preset('casdoor'),
      ...providerOf(mint),
    })
    expect(target).toEqual({ issuer: ISSUER, clientId: CLIENT_ID, sub: '248289761001' })
  })
})

describe('keycloak', () => {
  it('reports revoke_offline_access', async () => {
    const mint = await mintOf()
    const token = await mint.logoutToken(HABITS.keycloak.change)
    expect((await verify(token, { ...preset('keycloak'), ...providerOf(mint) })).revokeOfflineAccess).toBe(true)
  })
})

describe('an unknown name', () => {
  it.each(['okta', 'Keycloak', '', '__proto__', 'toString'])('%j is a TypeError with all names', (name) => {
    const unknown = () => preset(name as PresetName)
    expect(unknown).toThrow(TypeError)
    expect(unknown).toThrow(/keycloak, ory-hydra, .*connect2id/)
  })
})

function names(): readonly PresetName[] {
  const all = Object.keys(HABITS)
  expect([...PRESET_NAMES].sort()).toEqual([...all].sort())
  return all as PresetName[]
}
