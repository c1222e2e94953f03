// The whole demo in one process: an OP, three RPs, an API and the overview, wired together on loopback ports.
import express, { type RequestHandler } from 'express'
import { Activity, sayApi, sayOp } from './activity.js'
import { createApi } from './api.js'
import { Deliveries } from './deliveries.js'
import { Gate } from './gate.js'
import { KeptClaims } from './kept-claims.js'
import { type Listening, listen } from './listen.js'
import { createOp } from './op.js'
import { USERS } from './op-pages.js'
import { Outage } from './outage.js'
import { overview } from './overview.js'
import { type Named, type Node, placeOf, secret, startNaiveRp, startRp } from './places.js'
import type { RpConfig } from './relying-party.js'
import { type Place, SignOns } from './sign-ons.js'
import { areShared, openStores, type StoreSettings } from './stores.js'
import { Trials } from './trials.js'
import { keepName } from './two-names.js'
import { uploadPage } from './upload.js'
import { Visitors } from './visitors.js'

const SHOP = { clientId: 'shop', name: 'Shop' }
const FORUM = { clientId: 'forum', name: 'Forum' }
const NOTES = { clientId: 'notes', name: 'Notes' }
const API = { clientId: 'api', name: 'API' }

export interface Demo {
  /** Issuer of the OP, and where the overview is. */
  readonly issuer: string
  readonly places: readonly { readonly name: string; readonly url: string }[]
  /** Ends everything, open event streams too. */
  close(): Promise<void>
}

export interface DemoOptions {
  /**
   * Port of OP and overview; the ones that follow it are of the Shop, the Forum, the API, Notes and the Shop's second
   * node.
   */
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
  const outage = new Outage()
  const openAt = async (offset: number): Promise<Listening> => {
    const listening = await listen(port === 0 ? 0 : port + offset)
    closing.push(listening.close)
    return listening
  }
  const nodeAt = async (offset: number, from: StoreSettings): Promise<Node> => {
    const stores = await openStores(from, report)
    closing.push(stores.close)
    outage.sessionStore(stores.sessionStore)
    const logoutStore = outage.logoutStore(stores.logoutStore)
    return { ...(await openAt(offset)), stores: { ...stores, logoutStore } }
  }
  const atOp = await openAt(0)
  const shop = await nodeAt(1, settings)
  const forum = await nodeAt(2, {})
  const atApi = await openAt(3)
  const notes = await nodeAt(4, {})
  // Each node has connections of its own, as if it were another process.
  const shopToo = areShared(settings) ? [await nodeAt(5, settings)] : []

  const activity = new Activity()
  const visitors = new Visitors()
  const deliveries = new Deliveries(visitors.whose)
  const [uploads, tokens] = [new Gate(), new Gate()]
  const issuer = atOp.url
  const onEvent = (event: Parameters<typeof sayOp>[0]) => activity.add('op', sayOp(event, nameOf))
  const op = await createOp({ issuer, onEvent, deliver: deliveries.deliver })

  const keptClaims = new KeptClaims()
  const apiClient = { clientId: API.clientId, clientSecret: secret() }
  const api = createApi({ ...apiClient, issuer, logoutStore: shop.stores.logoutStore, onKept: keptClaims.add })
  await op.registerApi({ ...apiClient, name: API.name })
  atApi.server.on('request', (_req, res) => {
    res.on('finish', () => activity.add(API.clientId, sayApi(res.statusCode)))
  })
  atApi.server.on('request', api.app)

  // The OP answers before the RPs start, since they fetch its keys at once.
  const places: Place[] = [
    placeOf(SHOP, [shop, ...shopToo], { usesApi: true, byHand: false }),
    placeOf(FORUM, [forum], { usesApi: false, byHand: false }),
    placeOf(NOTES, [notes], { usesApi: false, byHand: true }),
  ]
  const signOns = new SignOns({ op, issuer, places, api, keptClaims })
  const tried = [
    { ...SHOP, url: shop.url },
    { ...NOTES, url: notes.url },
  ]
  const trials = new Trials({ op, issuer, tried, uploads, tokens, outage, visitors, deliveries, activity })
  const app = express()
  app.disable('x-powered-by')
  const atOverview = { op, places, signOns, api: { ...API, url: atApi.url }, visitors, activity, deliveries, trials }
  app.use(overview(atOverview))
  app.use(keepName)
  app.use('/token', answerBehind(tokens))
  app.use(op.app)
  atOp.server.on('request', app)

  const routes = uploadPage(uploads.pass)
  const start = async (client: Named, nodes: readonly Node[], config: Partial<RpConfig>) => {
    closing.push(...(await startRp({ client, nodes, config: { ...config, issuer }, op, activity, deliveries })))
  }
  await start(SHOP, [shop, ...shopToo], { apiUrl: atApi.url, claims: api.claims, routes })
  await start(FORUM, [forum], {})
  await startNaiveRp({ client: NOTES, node: notes, config: { issuer, routes }, op, activity, deliveries })

  const rows = places.flatMap(({ name, urls }) =>
    urls.map((url, index) => ({ name: index === 0 ? name : `${name}, node ${index + 1}`, url })),
  )
  return { issuer, places: [...rows, { name: API.name, url: atApi.url }] }
}

/** The answer is made at once, and is on its way for as long as the gate is closed. */
function answerBehind(gate: Gate): RequestHandler {
  return (_req, res, next) => {
    const end = res.end.bind(res)
    const later = (...args: Parameters<typeof end>) => {
      void gate.pass().then(() => end(...args))
      return res
    }
    Object.assign(res, { end: later })
    next()
  }
}

function nameOf(id: string): string {
  return USERS.get(id) ?? [SHOP, FORUM, NOTES, API].find(({ clientId }) => clientId === id)?.name ?? id
}
