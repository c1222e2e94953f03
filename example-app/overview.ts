// The demo's overview: who is signed in where, and what happened, live; and a call to the API that needs no session anywhere.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import express, { Router } from 'express'
import type { Activity } from './activity.js'
import type { Op } from './op.js'
import type { Place, SignOns } from './sign-ons.js'

const FILES = fileURLToPath(new URL('./overview/', import.meta.url))
const LOOK_AGAIN_MS = 500

export interface OverviewOptions {
  readonly op: Op
  readonly places: readonly Place[]
  readonly signOns: SignOns
  readonly api: { readonly clientId: string; readonly name: string; readonly url: string }
  readonly activity: Activity
}

/**
 * Its routes. To be mounted at the OP's own origin: so its button is the OP's own logout, pressed in place,
 * and the browser's OP cookie says which row is "this browser".
 */
export function overview({ op, places, signOns, api, activity }: OverviewOptions): Router {
  const watchers = new Set<ServerResponse>()
  let seen = ''
  const lookAgain = async () => {
    const now = JSON.stringify(await signOns.look().catch(() => []))
    if (now === seen) return
    seen = now
    for (const watcher of watchers) watcher.write('event: changed\ndata: \n\n')
  }
  // Sessions also end by time, and rows are written a moment after the event that tells of them.
  const timer = setInterval(() => {
    if (watchers.size > 0) void lookAgain()
  }, LOOK_AGAIN_MS)
  timer.unref()
  activity.listen((entry) => {
    for (const watcher of watchers) watcher.write(activityEvent(entry))
    void lookAgain()
  })

  const router = Router()
  router.use(express.static(FILES, { index: 'index.html', setHeaders: secure }))
  router.get('/state', async (req, res) => {
    res.set('Cache-Control', 'no-store').json({
      places: places.map(({ clientId, name, urls, usesApi }) => ({ clientId, name, urls, usesApi })),
      api: { clientId: api.clientId, name: api.name },
      thisBrowser: op.sessionOf(req.headers.cookie)?.uid ?? null,
      signOns: await signOns.look(),
    })
  })
  router.get('/events', (req: IncomingMessage, res: ServerResponse) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.write('retry: 1000\n\n')
    for (const entry of activity.since(Number(req.headers['last-event-id']) || 0)) res.write(activityEvent(entry))
    watchers.add(res)
    res.on('close', () => watchers.delete(res))
  })
  router.post('/call', async (req, res) => {
    await signOns.look()
    const token = signOns.tokenOf(String(req.query.as))
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const { status } = await fetch(`${api.url}/orders`, { headers })
    res.set('Cache-Control', 'no-store').json({ status })
  })
  return router
}

function activityEvent(entry: { readonly id: number }): string {
  return `id: ${entry.id}\nevent: activity\ndata: ${JSON.stringify(entry)}\n\n`
}

function secure(res: ServerResponse): void {
  res.setHeader('Content-Security-Policy', "default-src 'self'; img-src data:; frame-ancestors 'none'")
  res.setHeader('Cache-Control', 'no-cache')
}
