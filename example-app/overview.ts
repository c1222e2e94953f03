// The demo's overview: who is signed in where, and what happened, live. Reads the OP's and the RPs' own records.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import express, { Router } from 'express'
import type { MemoryStore } from 'express-session'
import type { Activity } from './activity.js'
import { type Op, USERS } from './op.js'

const FILES = fileURLToPath(new URL('./overview/', import.meta.url))
const LOOK_AGAIN_MS = 500

/** An application in which people sign in. */
export interface Place {
  readonly clientId: string
  readonly name: string
  readonly url: string
  readonly sessionStore: MemoryStore
}

interface SignOn {
  readonly id: string
  readonly name: string
  readonly atOp: boolean
  /** Client ids of the RPs that hold a session of this sign-on. */
  readonly signedInAt: readonly string[]
}

export interface OverviewOptions {
  readonly op: Op
  readonly places: readonly Place[]
  readonly activity: Activity
}

/**
 * Its routes. To be mounted at the OP's own origin: so its button is the OP's own logout, pressed in place,
 * and the browser's OP cookie says which row is "this browser".
 */
export function overview({ op, places, activity }: OverviewOptions): Router {
  const watchers = new Set<ServerResponse>()
  const look = async () => signOns(op, await Promise.all(places.map(sessionsAt)))

  let seen = ''
  const lookAgain = async () => {
    const now = JSON.stringify(await look().catch(() => []))
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
      places: places.map(({ clientId, name, url }) => ({ clientId, name, url })),
      thisBrowser: op.sessionOf(req.headers.cookie)?.uid ?? null,
      signOns: await look(),
    })
  })
  router.get('/events', (req: IncomingMessage, res: ServerResponse) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.write('retry: 1000\n\n')
    for (const entry of activity.since(Number(req.headers['last-event-id']) || 0)) res.write(activityEvent(entry))
    watchers.add(res)
    res.on('close', () => watchers.delete(res))
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

interface PlaceSession {
  readonly clientId: string
  readonly sub: string
  readonly sid: string | undefined
}

function sessionsAt({ clientId, sessionStore }: Place): Promise<PlaceSession[]> {
  return new Promise((resolve, reject) => {
    sessionStore.all((error, rows) => {
      if (error) reject(error)
      else
        resolve(
          Object.values(rows ?? {}).flatMap(({ signOn }) =>
            signOn ? [{ clientId, sub: signOn.sub, sid: signOn.sid }] : [],
          ),
        )
    })
  })
}

/** One per browser: the OP's sessions with what belongs to them, then sessions that live on without one. */
function signOns(op: Op, placeSessions: readonly PlaceSession[][]): SignOn[] {
  const unclaimed = new Set(placeSessions.flat())
  const atOp = op.sessions().map(({ uid, sub, sids }) => {
    const own = [...unclaimed].filter(({ clientId, sid }) => sid !== undefined && sids[clientId] === sid)
    for (const session of own) unclaimed.delete(session)
    return { id: uid, name: nameOf(sub), atOp: true, signedInAt: [...new Set(own.map(({ clientId }) => clientId))] }
  })
  const leftOver = [...unclaimed].map(({ clientId, sub, sid }) => {
    return { id: `${clientId}-${sid ?? sub}`, name: nameOf(sub), atOp: false, signedInAt: [clientId] }
  })
  return [...atOp, ...leftOver]
}

function nameOf(sub: string): string {
  return USERS.get(sub) ?? sub
}
