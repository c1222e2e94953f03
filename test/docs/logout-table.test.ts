// The table of docs/logout.md: what each kind of logout ends, and what it does not. Each cell is tried as the page has
// it.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import path from 'node:path'
import session from 'express-session'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutEvent, memoryStore } from '../../src/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { cookieHeader } from '../outbound/cookie-jar.js'

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/logout.md'), 'utf8')
const [, section = ''] = page.split('## What each logout ends')
const [, table = ''] = /((?:^\|.*\n)+)/m.exec(section) ?? []
const rows = table
  .trim()
  .split('\n')
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
const [headings = [], , ...kinds] = rows

const CLIENT_ID = 'rp'
const CLIENT_SECRET = randomBytes(32).toString('base64url')
const BACK = 'https://app.example.com/logged-out'
const EXPIRY_SECONDS = 600

/** What comes in the background comes when it comes; a second of `vi.waitFor` is short on a busy machine. */
const PATIENCE = { timeout: 15_000 }

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

type Name = 'laptop' | 'phone' | 'grace' | 'another'

/** Ada at two devices and Grace at one; all have tokens, and everything that may be looked at afterwards. */
async function world(isOffline: boolean) {
  let ahead = 0
  const clock = () => Date.now() / 1000 + ahead
  const op = await createFakeOp({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, now: clock })
  closing.push(() => op.close())
  const rows = new session.MemoryStore()
  const store = memoryStore({ clock })
  const events: LogoutEvent[] = []
  const client = { issuer: op.issuer, clientId: CLIENT_ID }
  const logout = createBackchannelLogout<{ readonly sessionId: string }>({
    provider: { ...client, clientAuthentication: { method: 'client_secret_basic', clientSecret: CLIENT_SECRET } },
    store,
    sessions: expressSessions(rows),
    clock,
    onEvent: (event) => events.push(event),
  })
  closing.push(() => logout.close())
  const rpInitiated = logout.rpInitiatedLogout({
    redirectUris: { 'logged-out': BACK },
    secret: 'a secret of more than thirty-two characters',
    recordIn: (row) => row.logout,
    revokeAfterSeconds: 0,
  })
  const idOf = (name: Name) => `session of ${name}`
  const request = (name: Name) => ({ sessionId: idOf(name) })
  const tokens = new Map<Name, Tokens>()
  const signIn = async (name: Name, sub: string, scope = isOffline ? 'openid offline_access' : 'openid') => {
    const issued = await tokensOf(op, sub, name, scope)
    tokens.set(name, issued)
    const claims = {
      ...{ iss: op.issuer, aud: CLIENT_ID, sub, sid: name, iat: Math.floor(clock()) },
      ...(name === 'laptop' && { session_expiry: Math.floor(clock()) + EXPIRY_SECONDS }),
    }
    await logout.bind(request(name), claims, { accessToken: issued.access_token })
    const { refresh_token: refreshToken } = issued
    const record = await rpInitiated.record(claims, issued.id_token, undefined, { refreshToken, scope })
    await put(rows, idOf(name), { cookie: {}, logout: record })
  }
  await signIn('laptop', 'ada')
  await signIn('phone', 'ada')
  await signIn('grace', 'grace')
  const isIn = async (name: Name) => (await get(rows, idOf(name))) !== undefined
  return {
    ...{ op, logout, rpInitiated, client, request, idOf, isIn, rows },
    wait: (seconds: number) => {
      ahead += seconds
    },
    isMarked: async (name: Name) => {
      const { marks } = await store.marks([tokenKey(tokens.get(name)?.access_token ?? '')])
      return marks.length > 0
    },
    /** Whether its refresh token is dead at the provider: once that of a later logout is, those before had their turn. */
    isRevoked: async (name: Name) => {
      const seen = op.seen.revoke
      await signIn('another', 'linus', 'openid')
      await received(logout, await op.mint.logoutToken({ payload: { sub: 'linus', sid: 'another' } }))
      await vi.waitFor(() => expect(op.seen.revoke).toBeGreaterThan(seen), PATIENCE)
      const revoked = () => events.filter(({ type }) => type === 'tokens-revoked').length
      await vi.waitFor(() => expect(revoked()).toBe(op.seen.revoke), PATIENCE)
      return !(await refresh(op, tokens.get(name)?.refresh_token ?? '')).ok
    },
  }
}

type World = Awaited<ReturnType<typeof world>>

interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly id_token: string
}

async function tokensOf(op: FakeOp, sub: string, sid: string, scope: string): Promise<Tokens> {
  const asked = new URLSearchParams({
    ...{ client_id: CLIENT_ID, response_type: 'code', redirect_uri: 'https://app.example.com/callback', scope },
  })
  const answer = await op.openBrowser(sub, { sid }).request(`${op.issuer}/authorize?${asked}`)
  const code = new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? ''
  const form = { grant_type: 'authorization_code', code, redirect_uri: 'https://app.example.com/callback' }
  return (await ask(op, form)).json() as Promise<Tokens>
}

function ask(op: FakeOp, form: Record<string, string>): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')}`
  return fetch(`${op.issuer}/token`, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) })
}

const refresh = (op: FakeOp, token: string) => ask(op, { grant_type: 'refresh_token', refresh_token: token })

const put = (rows: session.Store, id: string, row: object) =>
  new Promise<void>((done, failed) => {
    rows.set(id, row as session.SessionData, (error) => (error ? failed(error) : done()))
  })

const get = (rows: session.Store, id: string) =>
  new Promise<unknown>((done, failed) => {
    rows.get(id, (error, row) => (error ? failed(error) : done(row ?? undefined)))
  })

async function received(logout: World['logout'], token: string): Promise<void> {
  const body = new URLSearchParams({ logout_token: token })
  const answer = await logout.fetch(new Request('https://app.example.com/logout', { method: 'POST', body }))
  expect(answer.status).toBe(200)
}

/** Says what became of the session at the provider. */
type Act = (world: World) => Promise<'over already' | 'stays' | 'asked to end'>

const logoutToken =
  (payload: object): Act =>
  async ({ op, logout }) => {
    await received(logout, await op.mint.logoutToken({ payload: { ...payload } }))
    return 'over already'
  }

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

const begunHere =
  (scope: 'local' | 'provider'): Act =>
  async ({ op, logout, rpInitiated, request, rows, idOf }) => {
    const row = Object(await get(rows, idOf('laptop')))
    await logout.unbind(request('laptop'))
    const { url, cookies } = await rpInitiated.start(row.logout, { to: 'logged-out', scope })
    const back = { url: `/logged-out${new URL(url).search}`, headers: { cookie: cookieHeader(cookies) } }
    const response = { appendHeader() {} } as unknown as ServerResponse
    await rpInitiated.returned(back as IncomingMessage, response).revocation
    return url.startsWith(`${op.issuer}/logout?`) ? 'asked to end' : 'stays'
  }

const ACTS: Readonly<Record<string, Act>> = {
  'Logout Token with a `sid`': logoutToken({ sub: 'ada', sid: 'laptop' }),
  'Logout Token with a `sub` alone': logoutToken({ sub: 'ada', sid: undefined }),
  'Logout Token with `revoke_offline_access`': logoutToken({
    ...{ sub: 'ada', sid: 'laptop' },
    events: { [EVENT]: {}, revoke_offline_access: true },
  }),
  'Front-channel logout': async ({ op, logout }) => {
    const url = `/frontchannel-logout?${new URLSearchParams({ iss: op.issuer, sid: 'laptop' })}`
    const status = await new Promise<number>((answered) => {
      const res = { setHeader() {}, removeHeader() {}, writeHead: answered, end() {} } as unknown as ServerResponse
      logout.frontchannelReceiver()({ method: 'GET', url, headers: {}, on() {} } as unknown as IncomingMessage, res)
    })
    expect(status).toBe(200)
    return 'over already'
  },
  '`terminate` of a `sub`': async ({ logout, client }) => {
    expect((await logout.terminate({ ...client, sub: 'ada' })).complete).toBe(true)
    return 'stays'
  },
  '`terminate` with `except`': async ({ logout, client, request }) => {
    expect((await logout.terminate({ ...client, sub: 'ada' }, { except: request('laptop') })).complete).toBe(true)
    return 'stays'
  },
  '`sessions.end`': async ({ logout, client, request }) => {
    const target = { ...client, sub: 'ada' }
    const { sessions } = await logout.sessions.list(target, { current: request('laptop') })
    const handle = sessions.find(({ current }) => current)?.handle ?? ''
    expect(await logout.sessions.end(target, handle)).toEqual({ ended: true })
    return 'stays'
  },
  '`unbind`': async ({ logout, request }) => {
    await logout.unbind(request('laptop'))
    return 'stays'
  },
  '`POST /logout`, scope `local`': begunHere('local'),
  '`POST /logout`, scope `provider`': begunHere('provider'),
  'the session’s own time is over': async ({ wait }) => {
    wait(EXPIRY_SECONDS + 1)
    return 'stays'
  },
}

const said = (isEnded: boolean) => (isEnded ? 'ends' : 'stays')

describe('what each logout ends', () => {
  it('has a row for each kind, and a column for each thing', () => {
    expect(kinds.map(([kind = '']) => kind.replace("'", '’'))).toEqual(Object.keys(ACTS))
    expect(headings).toEqual([
      ...['what happens', 'the session it names', 'the user’s other sessions'.replace('’', "'")],
      ...['access tokens given to `bind`', 'refresh token', 'with `offline_access`', 'at the provider'],
    ])
  })

  it.each(kinds)('%s', async (kind = '', ...cells) => {
    const act = ACTS[kind.replace("'", '’')]
    if (act === undefined) throw new Error('a kind of logout that this test does not know')
    const [online, offline] = [await world(false), await world(true)]
    const atProvider = await act(online)
    expect(await act(offline)).toBe(atProvider)
    const [laptop, phone, grace] = [await online.isIn('laptop'), await online.isIn('phone'), await online.isIn('grace')]
    expect(grace).toBe(true)
    // Tokens are of a session that ends.
    const whose = laptop ? 'phone' : 'laptop'
    expect([
      said(!laptop),
      said(!phone),
      said(await online.isMarked(whose)),
      said(await online.isRevoked(whose)),
      said(await offline.isRevoked(whose)),
      atProvider,
    ]).toEqual(cells)
  })
})
