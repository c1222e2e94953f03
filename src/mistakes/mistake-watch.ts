// Tells from what happens that something is set up wrongly, and says it once. Watches events; decides nothing about
// sessions.
import { type EventListener, type LogoutEvent, publishRefusedLogin } from '../events.js'
import { issuerDifference } from './issuer-difference.js'
import { type Mistake, mistakeError, reportOnce } from './mistakes.js'

const readByApis = new WeakSet<object>()

/** An API of this process asks this store about its access tokens. */
export function apiReads(store: object): void {
  readByApis.add(store)
}

/** Whether an API of this process asks it: then a receiver beside it may have no logins of its own. */
export function isReadByApi(store: object): boolean {
  return readByApis.has(store)
}

export interface MistakeWatchOptions {
  /** Hears the events, and the warnings among them. */
  readonly emit: EventListener
  /** Only this process knows the logins. */
  readonly storeIsOwn: boolean
  /**
   * An API of this process asks the store about access tokens. Without sessions, the receiver beside it has no login of
   * its own to bind: that one was forgotten cannot be told then, not even where there are logins kept in cookies.
   */
  readonly servesApi?: () => boolean
  /** There are sessions to be found; false where they are cookies, and a logout never finds any. */
  readonly hasSessions: boolean
  /** Elapsed seconds, by a clock that does not jump. */
  readonly monotonic: () => number
  /** Calls once so many seconds have passed; keeps no process alive. */
  readonly later: (seconds: number, work: () => void) => void
}

export interface MistakeWatch {
  /** In place of `emit`. */
  readonly emit: EventListener
  /** Each mistake once. */
  readonly report: (mistake: Mistake) => void
  /** A login is about to be bound, with or without a `sid`. */
  readonly metLogin: (client: WatchedClient, hasSid: boolean) => void
  /** A login was not bound: the error that `bind` rejects with, which is given back. */
  readonly metRefusedLogin: (error: unknown) => unknown
  /** A session has a user and no login bound it: of no harm by itself, and the reason if a logout finds nobody. */
  readonly metUnboundUser: () => void
  /** Nothing more comes: what was waited for is said now. */
  readonly close: () => void
}

interface WatchedClient {
  readonly issuer: string
  readonly clientId: string
}

/** What is known of one client: enough to say why its logouts find nobody. */
interface Known extends WatchedClient {
  bound: number
  boundWithoutSid: number
  foundNobody: number
  works: boolean
}

/** Logouts that find nobody happen: their users had signed out before. So many in a row do not. */
const UNLIKELY = 3
const FLOOD_REQUESTS = 100
const FLOOD_SECONDS = 60
const SAY_FLOOD_AGAIN_SECONDS = 3600
/** A provider that a user is sent to after signing out here says so within moments. */
const ENDED_HERE_SECONDS = 60
const MAX_ENDED_HERE = 1000
/** The first logout may come during the first login, which is not bound yet: a code is redeemed within seconds. */
const LOGIN_SECONDS = 5
/** Clients remembered; a function of the issuer may know any number. */
const MAX_CLIENTS = 1000

export function watchMistakes(options: MistakeWatchOptions): MistakeWatch {
  const { emit, storeIsOwn, hasSessions, monotonic, later, servesApi = () => false } = options
  const clients = new Map<string, Known>()
  const flood = { since: monotonic(), requests: 0, saidAt: Number.NEGATIVE_INFINITY }
  let unboundUsers = false
  /** Clients of which a first logout found nobody, until a login could have been bound. */
  const doubtful = new Set<Known>()
  const endedHere: number[] = []

  /** What the last login was refused with. */
  let refusal: unknown

  const report = reportOnce(emit)

  const reportNeverBound = () => (refusal === undefined ? report('never_bound') : report('login_refused', refusal))

  const knownOf = ({ issuer, clientId }: WatchedClient): Known => {
    const key = JSON.stringify([issuer, clientId])
    const known = clients.get(key) ?? { issuer, clientId, bound: 0, boundWithoutSid: 0, foundNobody: 0, works: false }
    if (clients.size < MAX_CLIENTS) clients.set(key, known)
    return known
  }

  const isBoundUnderAnotherSpelling = ({ issuer, clientId }: Known) =>
    [...clients.values()].some(
      (other) => other.bound > 0 && other.clientId === clientId && issuerDifference(other.issuer, issuer) !== undefined,
    )

  /** Told unless a login is bound in a moment. */
  const doubt = (known: Known) => {
    if (doubtful.has(known)) return
    doubtful.add(known)
    later(LOGIN_SECONDS, () => settle(known))
  }

  const settle = (known: Known) => {
    if (doubtful.delete(known) && known.bound === 0 && (hasSessions || !servesApi())) reportNeverBound()
  }

  const foundNobody = (known: Known, scope: string) => {
    known.foundNobody++
    const isUnlikely = !known.works && known.foundNobody >= UNLIKELY
    if (known.bound === 0) {
      if (known.foundNobody === 1 && isBoundUnderAnotherSpelling(known)) return report('issuer_differs')
      if (storeIsOwn && !known.works) return unboundUsers ? reportNeverBound() : doubt(known)
      if (hasSessions && unboundUsers) return report('sessions_unbound')
      if (hasSessions && isUnlikely) reportNeverBound()
      return
    }
    if (!hasSessions) return
    if (unboundUsers) return report('sessions_unbound')
    if (scope === 'sid' && known.boundWithoutSid > 0) return report('login_without_sid')
    if (isUnlikely) report('nobody_found')
  }

  const logout = (event: LogoutEvent & { readonly type: 'logout' }) => {
    const isSaml = event.reason === 'saml-logout-request'
    if (!(isSaml || event.reason === 'logout-token') || event.scope === 'token') return
    const known = knownOf(event)
    // A SAML login may have no SessionIndex, and is found by its NameID then.
    if (event.withoutSid > 0 && !isSaml) report('login_without_sid')
    if (event.found + event.mismatched > 0) {
      known.works = true
      known.foundNobody = 0
    } else if (!wasEndedHere()) foundNobody(known, isSaml ? 'sub' : event.scope)
  }

  /** Who signed out here first is not found when the provider says so a moment later. */
  const wasEndedHere = (): boolean => {
    const since = monotonic() - ENDED_HERE_SECONDS
    for (let at = endedHere.shift(); at !== undefined; at = endedHere.shift()) if (at > since) return true
    return false
  }

  const refused = () => {
    const now = monotonic()
    if (now - flood.since > FLOOD_SECONDS) Object.assign(flood, { since: now, requests: 0 })
    if (++flood.requests < FLOOD_REQUESTS || now - flood.saidAt < SAY_FLOOD_AGAIN_SECONDS) return
    flood.saidAt = now
    emit({ type: 'warning', error: mistakeError('junk_flood'), times: flood.requests })
  }

  return {
    emit: (event) => {
      emit(event)
      if (event.type === 'logout') logout(event)
      else if (event.type === 'unbound' && endedHere.length < MAX_ENDED_HERE) endedHere.push(monotonic())
      else if (event.type === 'refused' && /^ERR_(?:REQUEST|TOKEN)$/.test(event.error.code)) refused()
    },
    report,
    metLogin: (client, hasSid) => {
      const known = knownOf(client)
      known.bound++
      if (!hasSid) known.boundWithoutSid++
    },
    metRefusedLogin: (error) => {
      refusal = error
      publishRefusedLogin(error)
      return error
    },
    metUnboundUser: () => {
      unboundUsers = true
    },
    close: () => {
      for (const known of doubtful) settle(known)
    },
  }
}
