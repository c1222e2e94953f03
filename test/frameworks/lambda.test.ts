// docs/recipes/lambda.md as it stands: two functions that share nothing but a PostgreSQL.
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BackchannelLogout } from 'oidc-backchannel-logout'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { removeFolder } from '../servers/folders.js'
import { postgresServer, type RunningPostgres, startPostgres } from '../servers/postgres.js'
import { unpack } from '../stacks/recipe.js'
import { HERE } from './programs.js'

interface Answer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

interface LogoutFunction {
  readonly logout: BackchannelLogout
  readonly pool: { end(): Promise<void> }
  handler(event: unknown): Promise<Answer>
}

const logoutEvent = (token: string, { method = 'POST', isBase64Encoded = false } = {}) => {
  const body = `logout_token=${token}`
  return {
    requestContext: { domainName: 'rp.example.com', http: { method } },
    rawPath: '/backchannel-logout',
    rawQueryString: '',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-port': undefined },
    body: isBase64Encoded ? Buffer.from(body).toString('base64') : body,
    isBase64Encoded,
  }
}

describe.skipIf(postgresServer === undefined)('a function that handles one invocation at a time', () => {
  let op: FakeOp
  let postgres: RunningPostgres
  let folder: string
  let one: LogoutFunction
  let another: LogoutFunction

  beforeAll(async () => {
    op = await createFakeOp({ clientId: 'rp' })
    postgres = await startPostgres()
    Object.assign(process.env, { DATABASE_URL: postgres.url, ISSUER: op.issuer, CLIENT_ID: 'rp' })
    folder = unpack('lambda', (code) => code.replace('const pool', 'export const pool'), HERE.programs)
    const module = pathToFileURL(path.join(folder, 'handler.ts')).href
    one = await import(`${module}?one`)
    another = await import(`${module}?another`)
  })

  afterAll(async () => {
    for (const each of [one, another]) {
      each?.logout.close()
      await each?.pool.end()
    }
    await postgres?.stop()
    await op?.close()
    if (folder) removeFolder(folder)
  })

  it.each([false, true])('ends a sign-on that another one bound (body in base64: %s)', async (isBase64Encoded) => {
    expect(one.logout).not.toBe(another.logout)
    const claims = op.mint.idTokenClaims({ sub: 'ada', sid: `laptop ${isBase64Encoded}` })
    const laptop = await one.logout.signOn(claims)
    const phone = await one.logout.signOn(op.mint.idTokenClaims({ sub: 'ada', sid: 'phone' }))
    if (laptop === undefined || phone === undefined) throw new Error('nobody was logged out yet')
    const token = await op.mint.logoutToken({ payload: { sub: 'ada', sid: `laptop ${isBase64Encoded}` } })
    const answer = await another.handler(logoutEvent(token, { isBase64Encoded }))
    expect(answer).toMatchObject({ statusCode: 200, body: '', headers: { 'cache-control': 'no-store' } })
    expect(await one.logout.isLive(laptop)).toBe(false)
    expect(await one.logout.isLive(phone)).toBe(true)
  })

  it('refuses what is no logout', async () => {
    expect(await one.handler(logoutEvent('no.such.token'))).toMatchObject({ statusCode: 400 })
    expect(await one.handler(logoutEvent('no.such.token', { method: 'GET' }))).toMatchObject({ statusCode: 405 })
  })
})
