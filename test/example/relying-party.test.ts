import type { ServerResponse } from 'node:http'
import express from 'express'
import type { LogoutEvent } from 'oidc-backchannel-logout'
import { afterEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createOp } from '../../example-app/op.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import { Browser, logOutAtOp, signIn, textOf, whoIsAt } from './browser-by-http.js'

const listenings: Listening[] = []
const rps: Rp[] = []

afterEach(async () => {
  for (const rp of rps.splice(0)) rp.close()
  await Promise.all(listenings.splice(0).map((listening) => listening.close()))
})

/** An OP and an RP in this process; `beforeTokens` runs when the OP has issued its tokens and not sent them yet. */
async function startPair(beforeTokens: () => Promise<unknown> = async () => {}) {
  const [atOp, atRp] = await Promise.all([listen(0), listen(0)])
  listenings.push(atOp, atRp)
  const op = await createOp({ issuer: atOp.url })
  const app = express()
  app.post('/token', (_req, res, next) => {
    holdAnswer(res, beforeTokens)
    next()
  })
  app.use(op.app)
  atOp.server.on('request', app)

  const client = { clientId: 'rp', clientSecret: 'a secret', name: 'RP', baseUrl: atRp.url }
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => events.push(event)
  const rp = createRp({ ...client, issuer: atOp.url, sessionSecret: 'another secret', onEvent })
  rps.push(rp)
  atRp.server.on('request', rp.app)
  await op.register(client)
  return { issuer: atOp.url, rpUrl: atRp.url, events }
}

function holdAnswer(res: ServerResponse, until: () => Promise<unknown>): void {
  const end = res.end.bind(res)
  res.end = (...args: unknown[]) => {
    void until().then(() => Reflect.apply(end, res, args))
    return res
  }
}

describe('a logout that overtakes the sign-in it belongs to', () => {
  it('leaves nobody signed in, says so, and the next sign-in works', async () => {
    const browser = new Browser()
    let meanwhile = async (): Promise<unknown> => undefined
    const { issuer, rpUrl, events } = await startPair(() => meanwhile())
    meanwhile = () => {
      meanwhile = async () => undefined
      return logOutAtOp(browser, issuer)
    }

    const page = await signIn(browser, rpUrl, 'Ada')

    expect(page.status).toBe(403)
    expect(textOf(page.text)).toContain('Logged out meanwhile')
    expect(await whoIsAt(browser, rpUrl)).toEqual({ status: 401 })
    // Nothing was ever bound when the first logout of this application came: it is told so, and it is no mistake here.
    const said = events.filter(({ type }) => type !== 'warning')
    expect(said.map(({ type }) => type).slice(0, 3)).toEqual(['logout', 'answer', 'bound'])
    expect(said[2]).toMatchObject({ ended: true })

    await signIn(browser, rpUrl, 'Ada')
    expect(await whoIsAt(browser, rpUrl)).toMatchObject({ status: 200, sub: 'ada' })
  })
})

describe('a sign-in while signed in', () => {
  it('as somebody else at the OP: the old session is dead, the new one lives', async () => {
    const { issuer, rpUrl } = await startPair()
    const browser = new Browser()
    await signIn(browser, rpUrl, 'Ada')
    const old = browser.copy()
    await logOutAtOp(browser, issuer)
    await signIn(browser, rpUrl, 'Grace')
    expect(await whoIsAt(browser, rpUrl)).toMatchObject({ status: 200, sub: 'grace' })
    expect(await whoIsAt(old, rpUrl)).toEqual({ status: 401 })
  })

  it('as the same user: one session remains, the logout finds it, and the id before it is dead', async () => {
    const { issuer, rpUrl, events } = await startPair()
    const browser = new Browser()
    await signIn(browser, rpUrl, 'Ada')
    const old = browser.copy()
    await signIn(browser, rpUrl, 'Ada')
    expect(await whoIsAt(browser, rpUrl)).toMatchObject({ status: 200, sub: 'ada' })
    expect(await whoIsAt(old, rpUrl)).toEqual({ status: 401 })

    await logOutAtOp(browser, issuer)

    expect(events.find(({ type }) => type === 'logout')).toMatchObject({ scope: 'sid', found: 1, destroyed: 1 })
    expect(await whoIsAt(browser, rpUrl)).toEqual({ status: 401 })
  })
})

describe('the issuer of the RP', () => {
  const rpOf = (issuer: string) => () => {
    const rp = createRp({
      issuer,
      clientId: 'rp',
      clientSecret: 's',
      baseUrl: 'https://rp.example',
      sessionSecret: 's',
    })
    rp.close()
  }

  it.each(['https://127.0.0.1:1', 'http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])(
    'may be %s',
    (issuer) => {
      expect(rpOf(issuer)).not.toThrow()
    },
  )

  it.each([
    'http://op.example',
    'http://10.0.0.1:8080',
    'http://127.0.0.1.op.example',
    'http://127.0.0.1@op.example',
    'ftp://127.0.0.1',
    'op.example',
    '',
  ])('may not be %j', (issuer) => {
    expect(rpOf(issuer)).toThrow(/loopback only/)
  })
})
