// The tool that users test with, tested: a sound application passes, and each mistake is called by its name.
import { AssertionError } from 'node:assert'
import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { preset } from '../../src/index.js'
import { assertLogoutWorks, type LogoutTrialReport } from '../../src/testing/assert-logout-works.js'
import { createFakeOp } from '../../src/testing/fake-op.js'
import { freePort } from '../servers/processes.js'
import { type Mistake, startApplication } from './application.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

async function trial(mistake?: Mistake): Promise<LogoutTrialReport> {
  const op = await createFakeOp({ clientId: 'my-rp' })
  toClose.push(op.close)
  const app = await startApplication(op.issuer, mistake)
  toClose.push(app.close)
  const url = `${app.url}/backchannel-logout`
  return assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me', connect: '/events' })
}

async function wordsOf(mistake: Mistake): Promise<string> {
  const failure = await trial(mistake).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(AssertionError)
  return failure instanceof AssertionError ? failure.message : ''
}

describe('assertLogoutWorks', () => {
  it('passes a sound application, and leaves nothing untried', async () => {
    const { passed, notTried } = await trial()
    expect(notTried).toEqual([])
    expect(passed).toHaveLength(10)
  })

  it.each<[Mistake, RegExp, string]>([
    ['the receiver is not mounted', /answer was 404: no receiver is mounted/, '404'],
    [
      'the receiver stands behind a login wall',
      /a redirect \(302\): the receiver stands behind a login wall/,
      'a-redirect',
    ],
    ['bind is forgotten', /bind\(\) was not called/, 'found-is-0'],
    ['bind is not awaited', /bind\(\) is not awaited/, 'bind-rejects'],
    [
      'the response is sent before bind',
      /What to do: .*Express 4 does not hear.+Or the response was sent before bind\(\)/,
      'bind-rejects',
    ],
    ['ended is ignored', /the result of bind\(\), ended, is ignored/, 'logged-out-during-login'],
    ['the store is another', /another store|the very same store|one and the same store object/i, 'sign-in-fails'],
    ['bind gets other claims', /no session was found under what the Logout Token names/, 'found-is-0'],
    ['onSessionsEnded closes nothing', /connection of the ended session was still open/, 'a-connection-stays-open'],
    [
      'one logout ends all devices',
      /another device of the same person was signed out as well[\s\S]*ignoreSid ends all devices by design/,
      'others-are-signed-out',
    ],
    [
      'a device is remembered by its cookie',
      /the cookie from before the logout is signed in again/,
      'an-old-cookie-lives-again',
    ],
    [
      'who was logged out once is refused',
      /on that device alone[\s\S]*the tokens were fetched, and nobody is signed in/,
      'sign-in-fails',
    ],
    [
      'a repeat ends everybody',
      /a second time ends nobody[\s\S]*a person whom the token does not name was signed out as well/,
      'others-are-signed-out',
    ],
    [
      'a broken token is taken',
      /1 of \d+ broken tokens were not refused with 400: exp-absent .*answered 200/,
      'a-broken-token-is-taken',
    ],
    [
      'a Logout Token is taken for an ID Token',
      /a Logout Token that says so was taken for an ID Token, and somebody is signed in by it/,
      'a-logout-token-signs-in',
    ],
    ['onSessionsEnded closes everything', /the connection of another person was closed too/, 'the-test-kit'],
  ])('%s: says so, with the remedy and the page', async (mistake, words, anchor) => {
    const message = await wordsOf(mistake)
    expect(message).toMatch(words)
    expect(message).toMatch(/What to do: {4}\S+/)
    expect(message).toMatch(new RegExp(`docs/troubleshooting\\.md#${anchor}$`, 'm'))
  })

  it('of a bind that rejects says what with, and the remedy, which a test environment prints nowhere', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const app = await startApplication(op.issuer, 'bind gets the claims of another client')
    toClose.push(app.close)
    const url = `${app.url}/backchannel-logout`
    await expect(assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })).rejects.toThrow(
      /What was seen: bind\(\) rejected, and nobody is signed in: .+ \(ERR_ID_TOKEN, aud_unknown\)\.\n {2}What to do: +Compare the provider option clientId/,
    )
  })

  it('of an application with the endpoints of another provider says those of the fake OP', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    const app = createServer((req, res) => {
      if (req.method === 'POST') {
        const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
        res.writeHead(400, headers).end('{"error":"invalid_request"}')
      } else if (req.url === '/login') res.writeHead(302, { location: `${op.issuer}/auth` }).end()
      else res.writeHead(401).end()
    })
    await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
    toClose.push(
      op.close,
      async () => void app.close(),
      async () => app.closeAllConnections(),
    )
    const address = app.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/backchannel-logout`
    await expect(assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })).rejects.toThrow(
      new RegExp(`${op.issuer}/auth, which the OpenID Provider of the test does not have.*\\n.*${op.issuer}/authorize`),
    )
  })

  describe('an application that leads nowhere', () => {
    async function wordsAbout(answer: (path: string) => string | undefined): Promise<string> {
      const op = await createFakeOp({ clientId: 'my-rp' })
      const app = createServer((req, res) => {
        if (req.method === 'POST') {
          const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
          return void res.writeHead(400, headers).end('{"error":"invalid_request"}')
        }
        const location = answer(req.url ?? '')
        if (location === '') res.writeHead(401).end()
        else if (location !== undefined) res.writeHead(302, { location }).end()
      })
      await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
      const address = app.address()
      const origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
      toClose.push(
        op.close,
        async () => void app.close(),
        async () => app.closeAllConnections(),
      )
      const { timeout } = AbortSignal
      const soon = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout.call(AbortSignal, 1000))
      const trial = assertLogoutWorks({ op, url: `${origin}/logout`, signIn: '/login', isSignedIn: '/me' })
      const failure = await trial.catch((error: unknown) => error)
      soon.mockRestore()
      expect(failure).toBeInstanceOf(AssertionError)
      return String(failure).replaceAll(origin, '')
    }

    it.each([
      ['/me', (path: string) => (path === '/me' ? undefined : '/me')],
      ['/login', (path: string) => (path === '/login' ? undefined : '')],
      ['/callback', (path: string) => ({ '/login': '/callback?code=secret', '/me': '' })[path]],
    ])('%s never answers: step, method and address are said, and what to do', async (path, answer) => {
      const words = await wordsAbout(answer)
      expect(words).toMatch(/not work yet: a person can sign in\./)
      expect(words).toContain(`What was seen: GET ${path} was not answered to the end within 10 s.`)
      expect(words).toMatch(/What to do: {4}A handler there/)
      expect(words).not.toContain('secret')
    })

    it('sends the browser in a circle: its addresses are said', async () => {
      const circle: Record<string, string> = { '/login': '/callback?code=secret', '/me': '' }
      const words = await wordsAbout((path) => circle[path] ?? '/login')
      expect(words).toMatch(/more than 15 redirects from \/login, the last of them .*\/login > \/callback > \/login/)
      expect(words).toMatch(/What to do: {4}.*session cookie does not come back/)
      expect(words).not.toContain('secret')
    })
  })

  it.each([
    ['op', { op: undefined }, /op must be the fake OP.+createFakeOp/],
    ['op, not awaited', { op: Promise.resolve() }, /op must be the fake OP.+awaited/],
    ['url, relative', { url: '/backchannel-logout' }, /url must be the whole backchannel_logout_uri/],
    ['url, a function', { url: () => 'https://rp.example' }, /url must be the whole backchannel_logout_uri/],
    ['signIn', { signIn: undefined }, /signIn must be the path/],
    ['isSignedIn', { isSignedIn: new URL('https://rp.example/me') }, /isSignedIn must be a path/],
  ])('refuses in words an unusable %s', async (_, wrong, words) => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const options = { op, url: 'https://rp.example/logout', signIn: '/login', isSignedIn: '/me', ...wrong }
    const attempt = Reflect.apply(assertLogoutWorks, undefined, [options])
    await expect(attempt).rejects.toBeInstanceOf(TypeError)
    await expect(attempt).rejects.toThrow(words)
  })

  it('works with an OP that names no sub and no exp, as its preset does', async () => {
    const op = await createFakeOp({ clientId: 'my-rp', as: 'ory-hydra' })
    toClose.push(op.close)
    const app = await startApplication(op.issuer, undefined, preset('ory-hydra'))
    toClose.push(app.close)
    const url = `${app.url}/backchannel-logout`
    const { notTried } = await assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me', connect: '/events' })
    expect(notTried).toHaveLength(1)
    expect(notTried[0]).toContain('this OP names no persons')
  })

  it('says of an application without the option its OP needs which option that is', async () => {
    const op = await createFakeOp({ clientId: 'my-rp', as: 'ory-hydra' })
    toClose.push(op.close)
    const app = await startApplication(op.issuer)
    toClose.push(app.close)
    const url = `${app.url}/backchannel-logout`
    await expect(assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })).rejects.toThrow(
      /exp_missing[\s\S]*What to do: +If your provider is known for it \(see preset\), set the provider option allowMissingExp\.\n/,
    )
  })

  it('takes what the receiver said of another token for no reason of this answer', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const app = await startApplication(op.issuer)
    toClose.push(app.close)
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const proxy = createServer(async (req, res) => {
      const body = await text(req)
      if (body.includes('logout_token=ey')) return void res.writeHead(502).end()
      const answer = await fetch(`${app.url}${req.url}`, { method: 'POST', headers, body })
      res.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
    })
    const attempt = assertLogoutWorks({
      op,
      url: `${await listening(proxy)}/backchannel-logout`,
      signIn: (browser) => browser.get(`${app.url}/login`),
      isSignedIn: async (browser) => (await browser.get(`${app.url}/me`)).status === 200,
    })
    await expect(attempt).rejects.toThrow(
      /What was seen: the answer was 502: the application, or the proxy before it, failed\.\n/,
    )
  })

  it('says that nothing listens at the address', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const url = `http://127.0.0.1:${await freePort()}/backchannel-logout`
    await expect(assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })).rejects.toThrow(
      /the connection was refused[\s\S]+Is the application running, and listening there\?/,
    )
  })

  it('names what it may be where the application is another process, whose events it cannot hear', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const elsewhere = createServer(async (req, res) => {
      if (req.url === '/login') return void res.writeHead(302, { location: `${op.issuer}/authorize?${login}` }).end()
      if (req.url !== '/backchannel-logout') return void res.end('Welcome')
      let body = ''
      for await (const chunk of req) body += chunk
      res.setHeader('cache-control', 'no-store')
      if (body.includes('logout_token=ey')) return void res.writeHead(200).end()
      res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_request"}')
    })
    const url = await listening(elsewhere)
    const login = new URLSearchParams({ client_id: 'my-rp', response_type: 'code', redirect_uri: `${url}/callback` })
    const signedIn = new Set<unknown>()
    const attempt = assertLogoutWorks({
      op,
      url: `${url}/backchannel-logout`,
      signIn: (browser) => {
        signedIn.add(browser)
        return browser.get(`${url}/login`)
      },
      isSignedIn: async (browser) => signedIn.has(browser),
    })
    await expect(attempt).rejects.toThrow(
      /one of three: bind\(\) is not called at sign-in.+expressSessions\(store\).+logout\.isLive\(signOn\)/,
    )
  })

  it('catches a page that takes everything', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const url = await listening(createServer((_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end()))
    await expect(assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })).rejects.toThrow(
      /a token that is none was answered 200 with a page/,
    )
  })
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  toClose.push(() => new Promise((closed) => server.close(() => closed())))
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}
