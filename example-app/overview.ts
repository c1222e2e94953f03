// The demo's overview: who is signed in where, and what happened, live; trials of what goes wrong; and a call to the
// API that needs no session anywhere.
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import express, { type Request, type Response, Router } from 'express'
import type { Activity, Entry } from './activity.js'
import type { Deliveries } from './deliveries.js'
import { HttpBrowser } from './http-browser.js'
import type { Op } from './op.js'
import { USERS } from './op-pages.js'
import type { Held, Place, SignOns } from './sign-ons.js'
import { checked } from './token-checks.js'
import { TRIALS } from './trial-list.js'
import type { Trials } from './trials.js'
import { named, otherName } from './two-names.js'
import type { Visitor, Visitors } from './visitors.js'

const FILES = fileURLToPath(new URL('./overview/', import.meta.url))
const LOOK_AGAIN_MS = 500

export interface OverviewOptions {
  readonly op: Op
  readonly places: readonly Place[]
  readonly signOns: SignOns
  readonly api: { readonly clientId: string; readonly name: string; readonly url: string }
  readonly visitors: Visitors
  readonly activity: Activity
  readonly deliveries: Deliveries
  readonly trials: Trials
}

/**
 * Its routes. To be mounted at the OP's own origin: so its button is the OP's own logout, pressed in place,
 * and the browser's OP cookie says which row is "this browser".
 */
export function overview(options: OverviewOptions): Router {
  const { op, places, signOns, api, visitors, activity, trials } = options
  const watchers = new Map<ServerResponse, Visitor>()
  let seen = ''
  const lookAgain = async () => {
    const now = JSON.stringify(await signOns.look().catch(() => []))
    if (now === seen) return
    seen = now
    for (const watcher of watchers.keys()) watcher.write('event: changed\ndata: \n\n')
  }
  // Sessions also end by time, and rows are written a moment after the event that tells of them.
  const timer = setInterval(() => {
    if (watchers.size > 0) void lookAgain()
  }, LOOK_AGAIN_MS)
  timer.unref()
  activity.listen((entry) => {
    for (const [watcher, visitor] of watchers) watcher.write(activityEvent(entry, visitor))
    void lookAgain()
  })

  const viewerOf = (req: Request, res: Response) => {
    return { visitor: visitors.of(req, res), cookieHeader: req.headers.cookie, host: req.hostname }
  }
  /** The last access token that this visitor had. */
  const tokenOf = (visitor: Visitor, uid: string | undefined) => {
    if (uid !== undefined && signOns.tokenOf(uid) !== undefined) visitor.tokenFrom = uid
    return visitor.tokenFrom === undefined ? undefined : signOns.tokenOf(visitor.tokenFrom)
  }

  const router = Router()
  // With the page, so that all that it asks for comes from one visitor.
  router.get('/', (req, res, next) => {
    visitors.of(req, res)
    next()
  })
  router.use(express.static(FILES, { index: 'index.html', setHeaders: secure }))
  router.get('/state', async (req, res) => {
    const own = op.sessionOf(req.headers.cookie)
    const visitor = visitors.of(req, res)
    visitors.hasSids(visitor, own?.sids)
    if (own) visitor.sub = own.sub
    const held = await heldBy(req, places)
    const all = await signOns.look(held).catch(() => [])
    res.set('Cache-Control', 'no-store').json({
      places: places.map(({ clientId, name, urls, usesApi, byHand }) => {
        return { clientId, name, urls: urls.map((url) => named(url, req.hostname)), usesApi, byHand }
      }),
      api: { clientId: api.clientId, name: api.name },
      thisBrowser: own?.uid ?? null,
      here: {
        name: nameOf(own?.sub ?? held[0]?.sub),
        next: nameOf(visitor.sub),
        hasToken: tokenOf(visitor, own?.uid) !== undefined,
        signedInAt: held.map(({ clientId }) => clientId),
        leftAt: held.flatMap(({ clientId, sid }) => (own?.sids[clientId] === sid ? [] : [clientId])),
      },
      secondBrowser: otherName(`http://${req.headers.host}`),
      signOns: all,
      tokens: tokensOf(options, visitor),
      reports: [...visitor.reports.values()],
      totals: [...visitor.totals.values()],
    })
  })
  router.get('/trials', (_req, res) => {
    res.json(TRIALS.map(({ id, title, about, signsIn }) => ({ id, title, about, signsIn })))
  })
  // Another site must not press a button in a browser's name.
  router.post('/trials/{*rest}', (req, res, next) => {
    if (req.headers['sec-fetch-site'] === 'cross-site') res.status(403).json({ error: 'cross_site' })
    else next()
  })
  router.post('/trials/sign-in', async (req, res) => {
    const setCookies = await trials.signIn(viewerOf(req, res))
    for (const line of setCookies) res.append('Set-Cookie', line)
    res.set('Cache-Control', 'no-store').json({})
  })
  router.post('/trials/:id', async (req, res) => {
    const trial = TRIALS.find(({ id }) => id === req.params.id)
    if (!trial) return void res.status(404).json({ error: 'no_such_trial' })
    const { setCookies, ...report } = await trials.run(trial, viewerOf(req, res))
    for (const line of setCookies) res.append('Set-Cookie', line)
    res.set('Cache-Control', 'no-store').json(report)
  })
  router.get('/events', (req, res) => {
    const visitor = visitors.of(req, res)
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.write('retry: 1000\n\n')
    for (const entry of activity.since(Number(req.headers['last-event-id']) || 0)) {
      res.write(activityEvent(entry, visitor))
    }
    watchers.set(res, visitor)
    res.on('close', () => watchers.delete(res))
  })
  router.post('/call', async (req, res) => {
    await signOns.look()
    const token = tokenOf(visitors.of(req, res), op.sessionOf(req.headers.cookie)?.uid)
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const { status } = await fetch(`${api.url}/orders`, { headers })
    res.set('Cache-Control', 'no-store').json({ status })
  })
  return router
}

/** What this browser is signed in at, whatever the OP knows: each application is asked as the browser would ask. */
async function heldBy({ headers: { cookie } }: Request, places: readonly Place[]): Promise<Held[]> {
  const browser = new HttpBrowser(cookie)
  const held = await Promise.all(
    places.map(async ({ clientId, urls: [url = ''] }) => {
      const { sub, sid } = await browser.whoAt(url)
      return sub === undefined ? [] : [{ clientId, sub, sid }]
    }),
  )
  return held.flat()
}

/** The last Logout Token about this visitor to each application, decoded, with the checks that it passed. */
function tokensOf({ places, deliveries }: Pick<OverviewOptions, 'places' | 'deliveries'>, visitor: Visitor) {
  const last = deliveries.last(visitor.id)
  return places.flatMap(({ clientId, byHand }) => {
    const exchange = last[clientId]
    return exchange ? [{ clientId, ...exchange, checks: checked(exchange, byHand) }] : []
  })
}

function nameOf(sub: string | undefined): string | null {
  return sub === undefined ? null : (USERS.get(sub) ?? sub)
}

/** What another visitor did is told as that, and not whose it was. */
function activityEvent({ by, ...entry }: Entry, visitor: Visitor): string {
  const source = by === undefined || by === visitor.id ? entry.source : 'another'
  return `id: ${entry.id}\nevent: activity\ndata: ${JSON.stringify({ ...entry, source })}\n\n`
}

function secure(res: ServerResponse): void {
  res.setHeader('Content-Security-Policy', "default-src 'self'; img-src data:; frame-ancestors 'none'")
  res.setHeader('Cache-Control', 'no-cache')
}
