// The application of the example, tried as its readers are told to try theirs, and looked at by `doctor`.
import { afterEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp } from '../../example-app/relying-party.js'
import { assertLogoutWorks, createFakeOp } from '../../src/testing/index.js'
import { run } from '../cli/run.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

async function startExample(issuer: string): Promise<Listening> {
  const listening = await listen(0)
  toClose.push(listening.close)
  const config = { issuer, clientId: 'my-rp', clientSecret: 'a secret', sessionSecret: 'another' }
  const rp = createRp({ ...config, baseUrl: listening.url })
  listening.server.on('request', rp.app)
  toClose.push(async () => rp.close())
  return listening
}

describe('the application of the example', () => {
  it('passes the trial of docs/testing.md, and doctor says all right of it', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const url = `${(await startExample(op.issuer)).url}/backchannel-logout`
    const { passed, notTried } = await assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })
    expect(notTried).toEqual(['a logout closes open connections (no connect was given)'])
    expect(passed).toHaveLength(9)
    const { code, out } = await run(['doctor', op.issuer, '--uri', url])
    expect(out).toMatch(/\nall right\n$/)
    expect(code).toBe(0)
  })
})
