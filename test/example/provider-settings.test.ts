// `npm run rp` takes a preset and every provider option from the environment.
import { createBackchannelLogout } from 'oidc-backchannel-logout'
import { describe, expect, it } from 'vitest'
import { providerSettings, variableOf } from '../../example-app/provider-settings.js'

describe('providerSettings', () => {
  it('has nothing to say of an environment that says nothing', () => {
    expect(providerSettings({ ISSUER: 'https://op.example.com', ALGORITHMS: '' })).toEqual({})
  })

  it('takes a preset, and what is said beside it', () => {
    expect(providerSettings({ PRESET: 'ory-hydra', ALGORITHMS: 'ES256, RS256', MAX_AGE_SECONDS: '600' })).toEqual({
      allowMissingExp: true,
      transientFailureStatus: 503,
      algorithms: ['ES256', 'RS256'],
      maxAgeSeconds: 600,
    })
    expect(() => providerSettings({ PRESET: 'none-such' })).toThrow(TypeError)
  })

  it('knows every option that the package knows', () => {
    const unknown = { issuer: 'https://op.example.com', clientId: 'rp', noSuchOption: true }
    let message = ''
    try {
      createBackchannelLogout({ provider: unknown })
    } catch (error) {
      message = String(Object(error).message)
    }
    const options = message.match(/\b[a-z]+(?:[A-Z][a-z]*)*\b/g)?.filter((word) => message.includes(`${word},`)) ?? []
    // `protocol` is for SAML, by which the example signs nobody in.
    const apart = ['issuer', 'clientId', 'protocol', 'decryption', 'jwks']
    const known = options.filter((name) => !apart.includes(name))
    expect(known).toContain('allowMissingExp')
    for (const name of known) expect(Object.keys(providerSettings({ [variableOf(name)]: '1' })), name).toEqual([name])
  })
})
