// The whole demo in one process: an OP, two RPs and the overview, wired together on loopback ports.
import { randomBytes } from 'node:crypto'
import express from 'express'
import session from 'express-session'
import { Activity, RECEIVED, sayOp, sayRp } from './activity.js'
import { type Listening, listen } from './listen.js'
import { createOp, type Op, USERS } from './op.js'
import { overview, type Place } from './overview.js'
import { createRp, type Rp } from './relying-party.js'

const RPS = [
  { clientId: 'shop', name: 'Shop' },
  { clientId: 'forum', name: 'Forum' },
] as const

export interface Demo {
  /** Issuer of the OP, and where the overview is. */
  readonly issuer: string
  readonly op: Op
  readonly rps: readonly { readonly name: string; readonly url: string }[]
  /** Ends everything, open event streams too. */
  close(): Promise<void>
}

/** Listens on free ports, or on `port` (OP and overview) and the ones that follow it (RPs). */
export async function startDemo({ port = 0 }: { readonly port?: number } = {}): Promise<Demo> {
  const activity = new Activity()
  const opListening = await listen(port)
  const issuer = opListening.url
  const op = await createOp({ issuer, onEvent: (event) => activity.add('op', sayOp(event, nameOf)) })

  // Answers before the RPs start, since they fetch its keys at once.
  const places: Place[] = []
  const app = express()
  app.disable('x-powered-by')
  app.use(overview({ op, places, activity }))
  app.use(op.app)
  opListening.server.on('request', app)

  const started: StartedRp[] = []
  for (const [index, rp] of RPS.entries()) {
    const startedRp = await startRp({ ...rp, port: port === 0 ? 0 : port + 1 + index, op, issuer, activity })
    started.push(startedRp)
    places.push(startedRp.place)
  }

  return {
    issuer,
    op,
    rps: places.map(({ name, url }) => ({ name, url })),
    close: async () => {
      await Promise.all([opListening.close(), ...started.map(({ listening }) => listening.close())])
      for (const { rp } of started) rp.close()
    },
  }
}

interface StartedRp {
  readonly listening: Listening
  readonly place: Place
  readonly rp: Rp
}

interface RpToStart {
  readonly clientId: string
  readonly name: string
  readonly port: number
  readonly issuer: string
  readonly op: Op
  readonly activity: Activity
}

async function startRp({ clientId, name, port, issuer, op, activity }: RpToStart): Promise<StartedRp> {
  const listening = await listen(port)
  const clientSecret = randomBytes(32).toString('base64url')
  const sessionStore = new session.MemoryStore()
  const rp = createRp({
    issuer,
    clientId,
    clientSecret,
    baseUrl: listening.url,
    sessionSecret: randomBytes(32).toString('base64url'),
    sessionStore,
    name,
    overviewUrl: issuer,
    onEvent: (event) => activity.add(clientId, sayRp(event)),
  })
  listening.server.on('request', (req) => {
    if (req.method === 'POST' && req.url === '/backchannel-logout') activity.add(clientId, RECEIVED)
  })
  listening.server.on('request', rp.app)
  await op.register({ clientId, clientSecret, name, baseUrl: listening.url })
  return { listening, rp, place: { clientId, name, url: listening.url, sessionStore } }
}

function nameOf(id: string): string {
  return USERS.get(id) ?? RPS.find(({ clientId }) => clientId === id)?.name ?? id
}
