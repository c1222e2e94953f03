// What is heard where a login has the keys of its OP fetched: of an ID Token without a `sid`, where the metadata say that
// Logout Tokens have one, once; and of a fetch that fails, unless the application has ended.
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutEvent } from '../../src/index.js'
import { createFakeOp } from '../../src/testing/index.js'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const EXPECTED = { code: 'ERR_ID_TOKEN', reason: 'sid_expected', claim: 'sid' }

async function scene(metadata: Readonly<Record<string, unknown>> = {}) {
  const op = await createFakeOp({ clientId: 'rp' })
  const events: LogoutEvent[] = []
  // As at an OP that answers so: only what its metadata say of sids is changed.
  const fetching: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    if (!String(url).includes('.well-known')) return response
    return Response.json({ ...Object(await response.json()), ...metadata })
  }
  const logout = createBackchannelLogout({
    provider: { issuer: op.issuer, clientId: 'rp', fetch: fetching },
    onEvent: (event) => events.push(event),
  })
  closers.push(
    () => logout.close(),
    () => op.close(),
  )
  await logout.prepare()
  const signIn = async (sid: string | undefined) => {
    await logout.signOn(op.mint.idTokenClaims({ sub: 'alice', sid }))
    await new Promise(setImmediate)
  }
  const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.error] : []))
  return { signIn, warnings }
}

describe('a login without a sid', () => {
  it('is said once, where the metadata of the OP announce sids in Logout Tokens', async () => {
    const { signIn, warnings } = await scene()
    await signIn('S1')
    expect(warnings()).toEqual([])
    await signIn(undefined)
    await signIn(undefined)
    expect(warnings()).toMatchObject([EXPECTED])
  })

  it.each([false, undefined])('is nothing to speak of where they say %s', async (said) => {
    const { signIn, warnings } = await scene({ backchannel_logout_session_supported: said })
    await signIn(undefined)
    expect(warnings()).toEqual([])
  })
})

describe('keys that cannot be fetched at a login', () => {
  const outage = () => {
    let reject: (error: Error) => void = () => {}
    const answer = new Promise<Response>((_, failed) => {
      reject = failed
    })
    const events: LogoutEvent[] = []
    const logout = createBackchannelLogout({
      provider: { issuer: 'https://op.example', clientId: 'rp', fetch: () => answer },
      onEvent: (event) => events.push(event),
    })
    closers.push(() => logout.close())
    const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.error.code] : []))
    const login = () => logout.signOn({ iss: 'https://op.example', aud: 'rp', sub: 'alice', iat: Date.now() / 1000 })
    const fail = async () => {
      reject(new Error('the connection was lost'))
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
    }
    return { logout, login, fail, warnings }
  }

  it('are said', async () => {
    const { login, fail, warnings } = outage()
    await login()
    await fail()
    expect(warnings()).toEqual(['ERR_KEYS_UNAVAILABLE'])
  })

  it('are nothing to an application that has ended meanwhile', async () => {
    const { logout, login, fail, warnings } = outage()
    await login()
    logout.close()
    await fail()
    expect(warnings()).toEqual([])
  })
})
