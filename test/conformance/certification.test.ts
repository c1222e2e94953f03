// The eight modules of the OpenID Foundation's suite for the RP profile "Back-Channel", under their names there and in
// the suite's own shape. The suite judges the HTTP answer alone; here it is also looked at what died.
import { describe, expect, it } from 'vitest'
import { BACKCHANNEL_LOGOUT_EVENT, type Change, type MintAlgorithm } from '../../src/testing/index.js'
import {
  ALL_BUT_ALICES_LAPTOP,
  type Answer,
  expectLoggedOut,
  expectNothingDied,
  expectRefusal,
  type Rp,
  withRp,
} from './rp.js'

const MODULE = 'oidcc-client-test-rp-backchannel-rpinitlogout'

/** Header of `alg` and `kid` alone, a claim and a parameter to be ignored; `exp` and the key set are the mint's own. */
async function deliverAsTheSuite(rp: Rp, change: Change = {}): Promise<Answer> {
  const token = await rp.mint.logoutToken({
    ...change,
    header: { typ: undefined, ...change.header },
    payload: { ignored_claim: 'ignored', ...change.payload },
  })
  return rp.post({ logout_token: token, ignored_parameter: 'ignored' })
}

const REFUSED: readonly { readonly module: string; readonly change: Change }[] = [
  { module: `${MODULE}-alg-none`, change: { signer: 'nobody' } },
  { module: `${MODULE}-wrong-alg`, change: { signer: 'other-published' } },
  { module: `${MODULE}-wrong-iss`, change: { payload: { iss: 'https://op.example.com/invalid' } } },
  { module: `${MODULE}-wrong-aud`, change: { payload: { aud: 'rp-invalid' } } },
  { module: `${MODULE}-no-event`, change: { payload: { events: undefined } } },
  {
    module: `${MODULE}-wrong-event`,
    change: { payload: { events: { 'http://schemas.openid.net/event/foobar': {} } } },
  },
  { module: `${MODULE}-with-nonce`, change: { payload: { nonce: 'n-0S6_WzA2Mj' } } },
]

/** The suite runs with RS256 registered and takes ES256 for the wrong algorithm, or the other way round. */
const REGISTERED: readonly MintAlgorithm[] = ['RS256', 'ES256']

describe.each(REGISTERED)('certification with %s registered', (algorithm) => {
  it(`${MODULE}: 200, and that session ends`, () =>
    withRp({ algorithm }, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await deliverAsTheSuite(rp))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it.each(REFUSED)('$module: 400, and nobody is logged out', ({ change }) =>
    withRp({ algorithm }, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await deliverAsTheSuite(rp, change), 400, 'invalid_request')
      await expectNothingDied(rp)
    }),
  )

  it('is in the shape of the suite', () =>
    withRp({ algorithm }, async ({ mint, clock }) => {
      const token = await mint.logoutToken({ header: { typ: undefined } })
      const [header, payload] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
      expect(Object.keys(header)).toEqual(['alg', 'kid'])
      expect(payload).toMatchObject({ exp: clock() + 120, events: { [BACKCHANNEL_LOGOUT_EVENT]: {} } })
      expect(mint.jwks.keys.filter(({ use }) => use === 'sig').every((key) => key.alg === undefined)).toBe(true)
      expect(mint.jwks.keys.some(({ use }) => use === 'enc')).toBe(true)
      expect(mint.jwks.keys.some(({ crv }) => crv === 'secp256k1')).toBe(true)
    }))
})
