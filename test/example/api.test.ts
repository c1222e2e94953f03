import express from 'express'
import session from 'express-session'
import { memoryStore } from 'oidc-backchannel-logout'
import { afterEach, describe, expect, it } from 'vitest'
import { createApi } from '../../example-app/api.js'
import { type Listening, listen } from '../../example-app/listen.js'
import { createOp } from '../../example-app/op.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import { Browser, logOutAtOp, signIn, textOf, whoIsAt } from './browser-by-http.js'

const API = { clientId: 'api', clientSecret: 'the secret of the API: + %2F' }

const listenings: Listening[] = []
const rps: Rp[] = []

afterEach(async () => {
  for (const rp of rps.splice(0)) rp.close()
  await Promise.all(listenings.splice(0).map((listening) => listening.close()))
})

/**
 * An OP that counts what it is asked, an API, and two RPs that share the API's logout store: one may call it, one may
 * not.
 */
async function start() {
  const [atOp, atShop, atForum, atApi] = await Promise.all([listen(0), listen(0), listen(0), listen(0)])
  listenings.push(atOp, atShop, atForum, atApi)
  const issuer = atOp.url
  const op = await createOp({ issuer })
  const asked: string[] = []
  const app = express()
  app.use((req, _res, next) => {
    asked.push(req.path)
    next()
  })
  app.use(op.app)
  atOp.server.on('request', app)

  const logoutStore = memoryStore()
  const api = createApi({ ...API, issuer, logoutStore })
  atApi.server.on('request', api.app)
  await op.registerApi({ ...API, name: 'API' })

  const sessionStore = new session.MemoryStore()
  const shop = { clientId: 'shop', clientSecret: 'a secret', name: 'Shop', baseUrl: atShop.url }
  const forum = { clientId: 'forum', clientSecret: 'another', name: 'Forum', baseUrl: atForum.url }
  const shared = { issuer, sessionSecret: 'a third', logoutStore }
  const shopRp = createRp({ ...shop, ...shared, sessionStore, apiUrl: atApi.url, claims: api.claims })
  const forumStore = new session.MemoryStore()
  const forumRp = createRp({ ...forum, ...shared, sessionStore: forumStore })
  rps.push(shopRp, forumRp)
  atShop.server.on('request', shopRp.app)
  atForum.server.on('request', forumRp.app)
  await op.register(shop)
  await op.register(forum)

  return {
    issuer,
    shop: atShop.url,
    forum: atForum.url,
    api: atApi.url,
    introspections: () => asked.filter((path) => path === '/token/introspection').length,
    shopToken: (sid: string | undefined) => accessTokenOf(sessionStore, sid),
    forumToken: (sid: string | undefined) => accessTokenOf(forumStore, sid),
  }
}

type World = Awaited<ReturnType<typeof start>>

/** As somebody gets hold of it who reads the RP's memory: a job of the RP, a phone, a thief. */
function accessTokenOf(store: session.MemoryStore, sid: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    store.all((error, rows) => {
      const row = Object.values(rows ?? {}).find(({ signOn }) => signOn !== undefined && signOn.sid === sid)
      if (row?.signOn) resolve(row.signOn.accessToken)
      else reject(error ?? new Error('Nobody is signed in with that sid'))
    })
  })
}

async function signedIn(world: World, name = 'Ada') {
  const browser = new Browser()
  await signIn(browser, world.shop, name)
  const { sid } = await whoIsAt(browser, world.shop)
  return { browser, token: await world.shopToken(sid) }
}

async function call({ api }: World, token: string) {
  const response = await fetch(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } })
  const challenge = response.headers.get('www-authenticate') ?? ''
  const body = (await response.json()) as { kept?: { sub: string; until: number; calls: number }; error?: string }
  return { status: response.status, error: body.error, kept: body.kept, challenge }
}

/** What the OP itself says of a token, past the API and its cache. */
async function activeAtOp({ issuer }: World, token: string): Promise<unknown> {
  const credentials = [API.clientId, API.clientSecret].map(encodeURIComponent).join(':')
  const response = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams({ token }),
  })
  return response.json()
}

const REFUSED = { status: 401, error: 'invalid_token', challenge: expect.stringContaining('error="invalid_token"') }
const served = (sub: string, calls: number) => ({ status: 200, kept: { sub, calls, until: expect.any(Number) } })

describe('the API', () => {
  it('asks the OP about a token once, and refuses it after the logout although the OP still calls it active', async () => {
    const world = await start()
    const ada = await signedIn(world)
    const elsewhere = await signedIn(world)
    expect(await call(world, ada.token)).toMatchObject(served('ada', 1))
    expect(world.introspections()).toBe(1)
    expect(await call(world, ada.token)).toMatchObject(served('ada', 2))
    expect(world.introspections()).toBe(1)
    expect(await call(world, elsewhere.token)).toMatchObject(served('ada', 1))
    expect(world.introspections()).toBe(2)

    await logOutAtOp(ada.browser, world.issuer)

    expect(await call(world, ada.token)).toMatchObject(REFUSED)
    expect(world.introspections()).toBe(2)
    const opSays = await activeAtOp(world, ada.token)
    expect(opSays).toMatchObject({ active: true, sub: 'ada', client_id: 'shop', exp: expect.any(Number) })
    expect(Object(opSays).exp).toBeGreaterThan(Date.now() / 1000)
    expect(await call(world, elsewhere.token)).toMatchObject({ status: 200 })

    await signIn(ada.browser, world.shop, 'Ada')
    const { sid } = await whoIsAt(ada.browser, world.shop)
    expect(await call(world, await world.shopToken(sid))).toMatchObject(served('ada', 1))
    expect(await call(world, ada.token)).toMatchObject(REFUSED)
  })

  it('refuses a token that it sees for the first time after the logout', async () => {
    const world = await start()
    const ada = await signedIn(world)
    await logOutAtOp(ada.browser, world.issuer)
    expect(await activeAtOp(world, ada.token)).toMatchObject({ active: true })
    expect(await call(world, ada.token)).toMatchObject(REFUSED)
  })

  it('answers the RP, which shows whose orders they are and how often the API was called', async () => {
    const world = await start()
    const { browser } = await signedIn(world, 'Grace')
    expect(textOf((await browser.get(`${world.shop}/orders`)).text)).toContain('has served 1 call with it')
    const page = await browser.get(`${world.shop}/orders`)
    expect(page.status).toBe(200)
    expect(textOf(page.text)).toContain('Orders of grace')
    expect(textOf(page.text)).toContain('has served 2 calls with it')
    expect(world.introspections()).toBe(1)

    await logOutAtOp(browser, world.issuer)
    expect((await browser.get(`${world.shop}/orders`)).url.href).toBe(`${world.shop}/`)
  })

  it('serves no token without the scope, no invented one, and nobody without a token', async () => {
    const world = await start()
    const browser = new Browser()
    await signIn(browser, world.forum, 'Ada')
    const { sid } = await whoIsAt(browser, world.forum)
    const forumToken = await world.forumToken(sid)
    expect(await call(world, forumToken)).toMatchObject({ status: 403, error: 'insufficient_scope' })
    expect(await call(world, 'invented')).toMatchObject(REFUSED)
    expect((await fetch(`${world.api}/orders`)).status).toBe(401)
  })

  it('is the only one that the OP tells about tokens: the secret of an RP is not enough', async () => {
    const world = await start()
    const { token } = await signedIn(world)
    const response = await fetch(`${world.issuer}/token/introspection`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from('shop:a%20secret').toString('base64')}` },
      body: new URLSearchParams({ token }),
    })
    expect([response.status, await response.json()]).toEqual([200, { active: false }])
  })

  it('gives nobody’s orders while the OP cannot be asked, and the RP says so', async () => {
    const world = await start()
    const { browser, token } = await signedIn(world)
    await listenings[0]?.close()
    listenings.shift()
    expect(await call(world, token)).toMatchObject({ status: 503, error: 'temporarily_unavailable' })
    expect((await browser.get(`${world.shop}/orders`)).status).toBe(502)
    expect(await whoIsAt(browser, world.shop)).toMatchObject({ status: 200 })
  })
})
