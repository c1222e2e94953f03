// `replay` names each broken rule of a captured token, offline, and prints nothing that names somebody.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Change, createTokenMint } from '../../src/testing/index.js'
import { run, unwrapped } from './run.js'

const folder = mkdtempSync(path.join(os.tmpdir(), 'replay-'))
afterAll(() => rmSync(folder, { recursive: true }))

const about = { issuer: 'https://op.example.com', clientId: 'my-rp', sub: 'a-secret-subject', sid: 'a-secret-session' }
const mint = await createTokenMint(about)

function file(name: string, content: string): string {
  const place = path.join(folder, name)
  writeFileSync(place, content)
  return place
}

const captured = async (change: Change = {}) => file('token', await mint.logoutToken(change))

describe('replay', () => {
  it('has nothing to say of a good token, whenever it was captured, and names nobody', async () => {
    const { code, out } = await run(['replay', await captured({ payload: { iat: 1_700_000_000, exp: 1_700_000_120 } })])
    expect(unwrapped(out)).toMatch(/ok rules none of the \d+ rules is broken/)
    expect(unwrapped(out)).toContain('sub (16 characters), sid (16 characters)')
    expect(out).not.toMatch(/a-secret|eyJ/)
    expect(code).toBe(0)
  })

  it('takes the body of the request as it was captured', async () => {
    const body = file('body', `x=1&logout_token=${encodeURIComponent(await mint.logoutToken())}\n`)
    expect((await run(['replay', body])).code).toBe(0)
  })

  it('names every broken rule, not only the first, with the option that would accept it', async () => {
    const change = { header: { typ: 'at+jwt' }, payload: { exp: undefined, nonce: 'n', events: {}, jti: undefined } }
    const { code, out } = await run(['replay', await captured(change)])
    const words = unwrapped(out)
    for (const reason of ['typ_refused', 'exp_missing', 'event_missing', 'nonce_present', 'jti_missing']) {
      expect(words).toContain(`(${reason}; `)
    }
    expect(words).toContain('The provider option allowMissingExp would accept it.')
    expect(words).toContain('5 problems')
    expect(code).toBe(1)
  })

  it('judges with the preset, at the time that is given, for the client that is given', async () => {
    const token = await captured({ payload: { exp: undefined, sub: undefined, iat: 1_700_000_000 } })
    expect((await run(['replay', token, '--preset', 'ory-hydra'])).code).toBe(0)
    const late = await run(['replay', token, '--preset', 'ory-hydra', '--at', '1700001000'])
    expect(unwrapped(late.out)).toContain('(too_old; ')
    const other = await run(['replay', token, '--preset', 'ory-hydra', '--client-id', 'another'])
    expect(unwrapped(other.out)).toContain('(aud_mismatch; ')
  })

  it.each<[string, Change, 1 | 2]>([
    ['dates beyond all dates', { payload: { iat: 1e300, exp: 1e300 } }, 1],
    ['an issuer that is no URL', { payload: { iss: '__proto__' } }, 1],
    ['an issuer without TLS', { payload: { iss: 'http://op.example.com' } }, 2],
    ['claims that nest without end', { rawPayload: `{"iss":${'['.repeat(9999)}${']'.repeat(9999)}}` }, 2],
  ])('says what it makes of %s, in words', async (_what, change, code) => {
    const outcome = await run(['replay', await captured(change)])
    expect(outcome.code).toBe(code)
    expect(`${outcome.out}${outcome.err}`).toMatch(/problem|--issuer|holds no Logout Token/)
  })

  it.each(['logout_token=%E0%A4%A', '%', '\u0000\u009b2J'])(
    'says that a file holds no Logout Token: %j',
    async (content) => {
      const outcome = await run(['replay', file('other', content)])
      expect(outcome).toMatchObject({ code: 2, err: expect.stringContaining('holds no Logout Token') })
    },
  )

  it('says that a file holds no keys', async () => {
    const outcome = await run(['replay', await captured(), '--jwks', file('keys', '{"keys":[null,1]}')])
    expect(outcome).toMatchObject({ code: 2, err: expect.stringContaining('JSON Web Key Set') })
  })

  it.each<[Change, string]>([
    [{ signer: 'nobody' }, 'alg_none'],
    [{ signer: 'other-published' }, 'alg_not_allowed'],
  ])('says of %j: %s', async (change, reason) => {
    expect(unwrapped((await run(['replay', await captured(change)])).out)).toContain(`(${reason}; `)
  })

  it('checks the signature where the keys are given', async () => {
    const jwks = file('jwks', JSON.stringify(mint.jwks))
    const good = await run(['replay', await captured(), '--jwks', jwks])
    expect(unwrapped(good.out)).toContain('ok signature good')
    expect(good.code).toBe(0)
    const bad = await run(['replay', await captured({ signer: 'foreign' }), '--jwks', jwks])
    expect(unwrapped(bad.out)).toContain('(signature_invalid; ')
    expect(bad.code).toBe(1)
  })

  it.each([
    [['replay'], /needs a file/],
    [['replay', path.join(folder, 'none')], /cannot be read \(ENOENT\)/],
    [['replay', file('junk', 'junk')], /holds no Logout Token/],
  ])('ends with 2 for %j', async (args, words) => {
    const { code, err } = await run(args)
    expect(err).toMatch(words)
    expect(code).toBe(2)
  })
})
