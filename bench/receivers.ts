// The receivers that are compared, each as its users would mount it. A whole job is a delivery that ends one bound
// session.
import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import express from 'express'
import { auth, type ConfigParams } from 'express-openid-connect'
import session from 'express-session'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import {
  type BackchannelLogout,
  createBackchannelLogout,
  expressSessions,
  type LocalSession,
  type LogoutStore,
  memoryStore,
} from '../src/index.js'
import { applySchema, postgresStore } from '../src/stores/postgres/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { postgresPool, redisConnection } from './connections.js'
import { rsaKeyPair } from './key-pair.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'

export interface Receiver {
  readonly handler: RequestListener
  /** The status of a logout that was done. */
  readonly status: number
  /** Signs the users `from` to `from + count` in, each with a session of its own; before the measured time. */
  signIn(from: number, count: number): Promise<void>
  /** How many of these sessions are still there; a receiver that keeps none says 0. */
  remaining(): Promise<number>
  /** Ends a target without HTTP and signature; our own receivers only. */
  readonly logout?: BackchannelLogout<LocalSession>
}

export interface ReceiverContext {
  readonly issuer: string
  readonly redisUrl?: string | undefined
  readonly postgresUrl?: string | undefined
}

export const RECEIVERS = {
  'floor: Express, urlencoded, jwtVerify': floor,
  'express-openid-connect': expressOpenidConnect,
  'ours, memory': (context) => ours(context, memoryBackend(), inExpress),
  'ours, memory, without Express': (context) => ours(context, memoryBackend(), (handler) => handler),
  'ours, Redis': async (context) => ours(context, await redisBackend(context), inExpress),
  'ours, PostgreSQL': async (context) => ours(context, await postgresBackend(context), inExpress),
  'ours, logout store alone': oursAlone,
} as const satisfies Record<string, (context: ReceiverContext) => Receiver | Promise<Receiver>>

export type ReceiverName = keyof typeof RECEIVERS

const SESSION_SECONDS = 3600

/** What a careful hand writes in ten lines: the signature and the claims, and nothing is ended. */
function floor({ issuer }: ReceiverContext): Receiver {
  const app = express()
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  app.post('/backchannel-logout', express.urlencoded({ extended: false }), async (req, res) => {
    const options = { issuer, audience: CLIENT_ID, algorithms: ['RS256'], maxTokenAge: 300 }
    await jwtVerify(req.body.logout_token, keys, options)
    res.set('Cache-Control', 'no-store').status(200).end()
  })
  return { handler: app, status: 200, signIn: async () => {}, remaining: async () => 0 }
}

/** Its sessions are cookies: a logout writes two marks, which each later request reads. */
function expressOpenidConnect({ issuer }: ReceiverContext): Receiver {
  const app = express()
  // The types want a store of events beside get, set and destroy; express-session's own has them.
  const store = new session.MemoryStore() as unknown as NonNullable<
    Exclude<ConfigParams['backchannelLogout'], boolean | undefined>['store']
  >
  app.use(
    auth({
      issuerBaseURL: issuer,
      baseURL: 'https://rp.example.com',
      clientID: CLIENT_ID,
      secret: randomBytes(32).toString('base64url'),
      authRequired: false,
      backchannelLogout: { store },
    }),
  )
  return { handler: app, status: 204, signIn: async () => {}, remaining: async () => 0 }
}

/** The logout store and the session store of one deployment. */
export interface Backend {
  readonly store: LogoutStore
  readonly sessionStore: session.Store
  countSessions(): Promise<number>
}

function memoryBackend(): Backend {
  const sessionStore = new session.MemoryStore()
  const countSessions = () =>
    new Promise<number>((resolve, reject) => {
      sessionStore.length((error, length = 0) => (error ? reject(error) : resolve(length)))
    })
  return { store: memoryStore(), sessionStore, countSessions }
}

/** One Redis for both, so that a logout destroys its sessions in the same round trip. */
async function redisBackend({ redisUrl = '' }: ReceiverContext): Promise<Backend> {
  const client = await redisConnection(redisUrl)
  const sessionStore = new RedisStore({ client, prefix: 'sess:' })
  const countSessions = async () => (await sessionStore.length()) ?? 0
  return { store: redisStore(client, { sessionPrefix: 'sess:' }), sessionStore, countSessions }
}

/** One database for both, so that a logout destroys its sessions in the same statement. */
async function postgresBackend({ postgresUrl = '' }: ReceiverContext): Promise<Backend> {
  const pool = postgresPool({ connectionString: postgresUrl, max: 16 })
  await applySchema(pool)
  const PgSession = connectPgSimple(session)
  const sessionStore = new PgSession({ pool, createTableIfMissing: true, pruneSessionInterval: false })
  const countSessions = async () => {
    const { rows } = await pool.query('SELECT count(*)::int AS n FROM session')
    return Number(rows[0]?.n)
  }
  // Its first call makes the table.
  await new Promise((resolve) => sessionStore.get('none', resolve))
  return { store: postgresStore(pool, { sessionTable: 'session' }), sessionStore, countSessions }
}

const SIGN_INS_AT_ONCE = 32

function ours(
  { issuer }: ReceiverContext,
  { store, sessionStore, countSessions }: Backend,
  mount: (handler: RequestListener) => RequestListener,
): Receiver {
  const sessions = expressSessions(sessionStore)
  const logout = createBackchannelLogout({ provider: { issuer, clientId: CLIENT_ID }, store, sessions })
  return {
    handler: mount(logout.receiver()),
    status: 200,
    signIn: (from, count) =>
      inParallel(SIGN_INS_AT_ONCE, from, count, async (n) => {
        const sessionId = newSessionId()
        await saveSession(sessionStore, sessionId, subOf(n))
        await bindUser(logout, issuer, sessionId, n)
      }),
    remaining: countSessions,
  }
}

/** A provider that is nowhere, for what needs none of its answers: with its keys at hand nobody looks for them. */
export function absentProvider(issuer: string) {
  const { publicKey } = rsaKeyPair()
  return { issuer, clientId: CLIENT_ID, jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench-key' }] } }
}

/** Sessions that are kept nowhere. */
export const noSessions = {
  sessionOf: (session: LocalSession) => session,
  destroy: async () => {},
  protect: () => {},
  released: () => {},
  bound: () => {},
}

/** The bindings are all there is: for what they alone weigh and cost. */
function oursAlone({ issuer }: ReceiverContext): Receiver {
  const logout = createBackchannelLogout({ provider: { issuer, clientId: CLIENT_ID }, sessions: noSessions })
  return {
    handler: logout.receiver(),
    status: 200,
    signIn: (from, count) => inParallel(1, from, count, (n) => bindUser(logout, issuer, newSessionId(), n)),
    remaining: async () => 0,
    logout,
  }
}

/** As express-session makes them. */
export function newSessionId(): string {
  return randomBytes(24).toString('base64url')
}

export async function bindUser(
  logout: BackchannelLogout<LocalSession>,
  issuer: string,
  sessionId: string,
  n: number,
  sid = sidOf(n),
): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, aud: CLIENT_ID, sub: subOf(n), sid, iat: now - 1, exp: now + 300 }
  const { ended } = await logout.bind({ sessionId, expiresAt: now + SESSION_SECONDS }, claims)
  if (ended) throw new Error('a fresh login was taken for an ended one')
}

async function inParallel(
  width: number,
  from: number,
  count: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  let next = from
  const worker = async () => {
    while (next < from + count) await work(next++)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

export function saveSession(store: session.Store, sessionId: string, user: string): Promise<void> {
  const maxAge = SESSION_SECONDS * 1000
  const cookie = { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge), httpOnly: true, path: '/' }
  // The type lists the methods of a session in a request; a store is given, and keeps, its data.
  const data = { cookie, user } as unknown as session.SessionData
  return new Promise((resolve, reject) => {
    store.set(sessionId, data, (error?: unknown) => (error ? reject(error) : resolve()))
  })
}

function inExpress(handler: RequestListener): RequestListener {
  const app = express()
  app.post('/backchannel-logout', handler)
  return app
}
