// The whole demo in one process: an OP, two RPs, an API and the overview, wired together on loopback ports.
import { randomBytes } from 'node:crypto'
import express from 'express'
import { Activity, sayApi, sayOp, sayReceived, sayRp } from './activity.js'
import { createApi } from './api.js'
import { KeptClaims } from './kept-claims.js'
import { type Listening, listen } from './listen.js'
import { createOp, type Op, USERS } from './op.js'
import { overview } from './overview.js'
import { createRp, type RpConfig } from './relying-party.js'
import { type Place, SignOns } from './sign-ons.js'
import { areShared, openStores, type StoreSettings, type Stores } from './stores.js'

const SHOP = { clientId: 'shop', name: 'Shop' }
const FORUM = { clientId: 'forum', name: 'Forum' }
const API = { clientId: 'api', name: 'API' }

export interface Demo {
  /** Issuer of the OP, and where the overview is. */
  readonly issuer: string
  readonly places: readonly { readonly name: string; readonly url: string }[]
  /** Ends everything, open event streams too. */
  close(): Promise<void>
}

export interface DemoOptions {
  /** Port of OP and overview; the ones that follow it are of the Shop, the Forum, the API and the Shop's second node. */
  readonly port?: number
  /** Where the Shop keeps sessions and logouts. With a server that nodes can share the Shop has two of them. */
  readonly settings?: StoreSettings
  /** Hears what about that server would lose a logout. */
  readonly report?: (problem: string) => void
}

/** Listens on free ports, or on `port` and the ones that follow it. */
export async function startDemo({ port = 0, settings = {}, report = () => {} }: DemoOptions = {}): Promise<Demo> {
  const closing: (() => unknown)[] = []
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    return { ...(await wire({ port, settings, report, closing })), close }
  } catch (error) {
    await close()
    throw error
  }
}

type Wiring = Required<DemoOptions> & {
  /** What is to be ended, the last one first. */
  readonly closing: (() => unknown)[]
}

async function wire({ port, settings, report, closing }: Wiring): Promise<Omit<Demo, 'close'>> {
  const openAt = async (offset: number): Promise<Listening> => {
    const listening = await listen(port === 0 ? 0 : port + offset)
    closing.push(listening.close)
    return listening
  }
  const nodeAt = async (offset: number, from: StoreSettings): Promise<Node> => {
    const stores = await openStores(from, report)
    closing.push(stores.close)
    return { ...(await openAt(offset)), stores }
  }
  const atOp = await openAt(0)
  const shop = await nodeAt(1, settings)
  const forum = await nodeAt(2, {})
  const atApi = await openAt(3)
  // Each node has connections of its own, as if it were another process.
  const shopToo = areShared(settings) ? [await nodeAt(4, settings)] : []

  const activity = new Activity()
  const issuer = atOp.url
  const op = await createOp({ issuer, onEvent: (event) => activity.add('op', sayOp(event, nameOf)) })

  const keptClaims = new KeptClaims()
  const apiClient = { clientId: API.clientId, clientSecret: secret() }
  const api = createApi({ ...apiClient, issuer, logoutStore: shop.stores.logoutStore, onKept: keptClaims.add })
  await op.registerApi({ ...apiClient, name: API.name })
  atApi.server.on('request', (_req, res) => {
    res.on('finish', () => activity.add(API.clientId, sayApi(res.statusCode)))
  })
  atApi.server.on('request', api.app)

  // The OP answers before the RPs start, since they fetch its keys at once.
  const places: Place[] = [placeOf(SHOP, [shop, ...shopToo], true), placeOf(FORUM, [forum], false)]
  const signOns = new SignOns({ op, issuer, places, api, keptClaims })
  const app = express()
  app.disable('x-powered-by')
  app.use(overview({ op, places, signOns, api: { ...API, url: atApi.url }, activity }))
  app.use(op.app)
  atOp.server.on('request', app)

  const start = async (client: Named, nodes: readonly Node[], config: Partial<RpConfig>) => {
    closing.push(
      ...(await startRp({ client, nodes, config: { ...config, issuer, overviewUrl: issuer }, op, activity })),
    )
  }
  await start(SHOP, [shop, ...shopToo], { apiUrl: atApi.url, claims: api.claims })
  await start(FORUM, [forum], {})

  const rows = places.flatMap(({ name, urls }) =>
    urls.map((url, index) => ({ name: index === 0 ? name : `${name}, node ${index + 1}`, url })),
  )
  return { issuer, places: [...rows, { name: API.name, url: atApi.url }] }
}

type Named = typeof SHOP

interface Node extends Listening {
  readonly stores: Stores
}

function placeOf(client: Named, nodes: readonly Node[], usesApi: boolean): Place {
  const sessions = async () => (await nodes[0]?.stores.sessions()) ?? []
  return { ...client, urls: nodes.map(({ url }) => url), usesApi, sessions }
}

interface RpToStart {
  readonly client: Named
  readonly nodes: readonly Node[]
  readonly config: Partial<RpConfig> & Pick<RpConfig, 'issuer'>
  readonly op: Op
  readonly activity: Activity
}

/** Starts every node of an RP and resolves to what ends them. */
async function startRp({ client, nodes, config, op, activity }: RpToStart): Promise<(() => void)[]> {
  const { clientId, name } = client
  const [clientSecret, sessionSecret] = [secret(), secret()]
  const ends: (() => void)[] = []
  for (const [index, { server, url, stores }] of nodes.entries()) {
    const { sessionStore, logoutStore } = stores
    const onEvent: RpConfig['onEvent'] = (event) => activity.add(clientId, sayRp(event))
    const own = { clientId, clientSecret, sessionSecret, baseUrl: url, sessionStore, logoutStore, name, onEvent }
    const rp = createRp({ ...config, ...own })
    server.on('request', (req) => {
      if (req.method !== 'POST' || req.url !== '/backchannel-logout') return
      activity.add(clientId, sayReceived(nodes.length > 1 ? index + 1 : undefined))
    })
    server.on('request', rp.app)
    ends.push(rp.close)
  }
  const [baseUrl = '', ...moreNodes] = nodes.map(({ url }) => url)
  await op.register({ clientId, clientSecret, name, baseUrl, moreNodes })
  return ends
}

function secret(): string {
  return randomBytes(32).toString('base64url')
}

function nameOf(id: string): string {
  return USERS.get(id) ?? [SHOP, FORUM, API].find(({ clientId }) => clientId === id)?.name ?? id
}
