// Starts the applications of the demo, each under both names of this machine, and tells the activity what they do.
// Knows no trial.
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Store } from 'express-session'
import { type Activity, type Entry, sayReceived, sayRp } from './activity.js'
import type { Deliveries } from './deliveries.js'
import type { Listening } from './listen.js'
import { createNaiveRp, type NaiveRpConfig } from './naive-receiver.js'
import type { Op } from './op.js'
import { createRp, type RpConfig } from './relying-party.js'
import type { Place } from './sign-ons.js'
import type { Stores } from './stores.js'
import { bySecondName, otherName } from './two-names.js'

export interface Named {
  readonly clientId: string
  readonly name: string
}

export interface Node extends Listening {
  readonly stores: Stores
}

export function placeOf(client: Named, nodes: readonly Node[], about: Pick<Place, 'usesApi' | 'byHand'>): Place {
  const sessions = async () => (await nodes[0]?.stores.sessions()) ?? []
  return { ...client, urls: nodes.map(({ url }) => url), ...about, sessions }
}

interface RpToStart {
  readonly client: Named
  readonly nodes: readonly Node[]
  readonly config: Partial<RpConfig> & Pick<RpConfig, 'issuer'>
  readonly op: Op
  readonly activity: Activity
  readonly deliveries: Deliveries
}

/** Starts every node of an RP and resolves to what ends them. */
export async function startRp({ client, nodes, config, ...demo }: RpToStart): Promise<(() => void)[]> {
  const { clientId, name } = client
  const [clientSecret, sessionSecret] = [secret(), secret()]
  const ends: (() => void)[] = []
  const onEvent: RpConfig['onEvent'] = (event) => {
    if ('error' in event) demo.deliveries.refused(clientId, event.error.reason ?? event.error.code)
    else if (event.type === 'replay') demo.deliveries.refused(clientId, 'ERR_REPLAY')
    demo.activity.add(clientId, sayRp(event))
  }
  for (const [index, { server, url, stores }] of nodes.entries()) {
    const { sessionStore, logoutStore } = stores
    const shared = { ...config, clientId, clientSecret, sessionSecret, sessionStore, logoutStore, name, onEvent }
    const at = (baseUrl: string, overviewUrl: string) => createRp({ ...shared, baseUrl, overviewUrl })
    const rps = [at(url, config.issuer), at(otherName(url), otherName(config.issuer))] as const
    server.on('request', hearLogoutTokens(clientId, nodes.length > 1 ? index + 1 : undefined, demo.activity))
    server.on('request', byName(rps[0].app, rps[1].app))
    ends.push(...rps.map(({ close }) => close))
  }
  await register(demo.op, client, clientSecret, nodes)
  return ends
}

type NaiveToStart = Omit<RpToStart, 'nodes' | 'config'> & {
  readonly node: Node
  readonly config: Pick<NaiveRpConfig, 'issuer' | 'routes'>
}

/** The application by hand says nothing of itself: what is told is seen from outside. */
export async function startNaiveRp({ client, node, config, op, activity, deliveries }: NaiveToStart): Promise<void> {
  const { clientId, name } = client
  const { server, url, stores } = node
  const clientSecret = secret()
  const onRefused = (error: unknown) => {
    deliveries.refused(clientId, String(Object(error).code ?? 'unverifiable'))
    activity.add(clientId, { tone: 'bad', text: 'Refused: the token could not be verified' })
  }
  watchSessions(stores.sessionStore, (tone, text) => activity.add(clientId, { tone, text }))
  const shared = { ...config, clientId, clientSecret, sessionSecret: secret(), sessionStore: stores.sessionStore }
  const at = (baseUrl: string, overviewUrl: string) =>
    createNaiveRp({ ...shared, name, onRefused, baseUrl, overviewUrl })
  server.on('request', hearLogoutTokens(clientId, undefined, activity))
  server.on('request', (req, res) => {
    const receivedAt = performance.now()
    if (!isLogoutToken(req)) return
    res.on('finish', () => activity.add(clientId, sayRp(answerOf(res, receivedAt))))
  })
  server.on('request', byName(at(url, config.issuer), at(otherName(url), otherName(config.issuer))))
  await register(op, client, clientSecret, [node])
}

async function register(op: Op, client: Named, clientSecret: string, nodes: readonly Node[]): Promise<void> {
  const [baseUrl = '', ...moreNodes] = nodes.map(({ url }) => url)
  const otherNames = [baseUrl, ...moreNodes].map(otherName)
  await op.register({ ...client, clientSecret, baseUrl, moreNodes, otherNames })
}

/** Two names are two browsers, and each comes back to the application under its own. */
function byName(first: RequestListener, second: RequestListener): RequestListener {
  return (req, res) => (bySecondName(req.headers.host) ? second(req, res) : first(req, res))
}

const isLogoutToken = ({ method, url }: IncomingMessage) => method === 'POST' && url === '/backchannel-logout'

/** `node`: by which of several nodes. */
function hearLogoutTokens(clientId: string, node: number | undefined, activity: Activity): RequestListener {
  return (req) => {
    if (isLogoutToken(req)) activity.add(clientId, sayReceived(node))
  }
}

function answerOf({ statusCode }: ServerResponse, receivedAt: number) {
  const durationSeconds = (performance.now() - receivedAt) / 1000
  return { type: 'answer', status: statusCode, durationSeconds } as const
}

/** Tells of sessions with a user in them: begun, ended, and written again after their end. */
function watchSessions(store: Store, tell: (tone: Entry['tone'], text: string) => void): void {
  const [live, ended] = [new Set<string>(), new Set<string>()]
  const [set, destroy] = [store.set.bind(store), store.destroy.bind(store)]
  store.set = (id, session, callback) => {
    const isNew = session.signOn !== undefined && !live.has(id)
    set(id, session, (error) => {
      if (isNew && !error) {
        live.add(id)
        if (ended.has(id)) tell('wrong', 'The ended session was written back: signed in again')
        else tell('begin', 'Session opened')
      }
      callback?.(error)
    })
  }
  store.destroy = (id, callback) => {
    destroy(id, (error) => {
      if (error) tell('bad', 'The session could not be ended')
      else if (live.delete(id)) {
        ended.add(id)
        tell('end', '1 session ended')
      }
      callback?.(error)
    })
  }
}

export function secret(): string {
  return randomBytes(32).toString('base64url')
}
