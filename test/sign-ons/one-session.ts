// A receiver over one MemoryStore of express-session, for what happens to one session without HTTP.
import session from 'express-session'
import { beforeEach } from 'vitest'
import {
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import { targetKey } from '../../src/marks/target.js'

export const issuer = 'https://op.example.com'
export const clientId = 'my-rp'
export const idToken = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: 1_760_000_000 }

export let events: LogoutEvent[]
export let rows: session.MemoryStore

export function create(options: { store?: LogoutStore; backchannelLogoutSessionRequired?: boolean } = {}) {
  const { store = memoryStore(), ...more } = options
  return createBackchannelLogout({
    provider: { issuer, clientId, ...more },
    store,
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
  })
}

/** The same rows in a new process. */
export function restart(): void {
  rows = Object.assign(new session.MemoryStore(), { sessions: Reflect.get(rows, 'sessions') })
}

export const row = { cookie: { originalMaxAge: null }, user: 'alice' } as unknown as session.SessionData
export const save = (id: string) => new Promise((resolve) => rows.set(id, row, resolve))
export const load = (id: string) =>
  new Promise((resolve, reject) => rows.get(id, (e, found) => (e ? reject(e) : resolve(found))))

/** A Logout Token of the session S1 arrived, at this node or another. */
export const endedByOp = (store: LogoutStore) =>
  store.begin({
    target: targetKey({ issuer, clientId, sid: 'S1' }),
    issuedAt: idToken.iat + 1,
    seenSecondsAgo: 0,
    marksExpireAt: Date.now() / 1000 + 1000,
    mayDestroy: false,
  })

/** As `session()` would, which gives its store this method. */
export const generateIds = (nextId: () => string) => {
  Reflect.set(rows, 'generate', (req: object) => {
    Object.assign(req, { sessionID: nextId(), session: { cookie: {} } })
  })
}

/** Each test file calls it: this module is run once, for several of them. */
export function freshSession(): void {
  beforeEach(() => {
    events = []
    rows = new session.MemoryStore()
  })
}

/** A request of express-session, as far as a backend looks at it. */
export function request(id: string) {
  return { sessionID: id, session: { cookie: { originalMaxAge: null }, user: 'alice' } }
}
export const saveSession = ({ sessionID, session: data }: ReturnType<typeof request>) =>
  new Promise((resolve) => rows.set(sessionID, data as unknown as session.SessionData, resolve))
