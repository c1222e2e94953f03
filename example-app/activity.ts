// What happened, in sentences for people: the last few hundred entries, and whoever wants to hear the next.
import type { LogoutEvent } from 'oidc-backchannel-logout'
import { BY_USER } from './devices.js'
import type { OpEvent } from './op.js'

export interface Entry {
  readonly id: number
  /** ISO 8601. */
  readonly at: string
  /** `you` for a visitor's browser, `op`, or a client id. */
  readonly source: string
  /** `wrong`: what no application should do. */
  readonly tone: 'begin' | 'end' | 'ok' | 'bad' | 'wrong' | 'plain'
  readonly text: string
  /** Id of the visitor who did it, where the source is a browser. For the demo alone: it is that browser's cookie. */
  readonly by?: string | undefined
}

type Said = Pick<Entry, 'tone' | 'text'>

const KEPT = 300

export class Activity {
  readonly #entries: Entry[] = []
  readonly #listeners = new Set<(entry: Entry) => void>()
  #lastId = 0

  add(source: string, said: Said, by?: string): void {
    this.#lastId += 1
    const entry = { id: this.#lastId, at: new Date().toISOString(), source, ...said, by }
    this.#entries.push(entry)
    if (this.#entries.length > KEPT) this.#entries.shift()
    for (const listener of this.#listeners) listener(entry)
  }

  /** Entries after that id, oldest first. */
  since(id: number): readonly Entry[] {
    return this.#entries.filter((entry) => entry.id > id)
  }

  /** Resolves to true at the next entry that matches, or to false when the time is over. */
  next(matches: (entry: Entry) => boolean, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (heard: boolean) => {
        clearTimeout(timer)
        stop()
        resolve(heard)
      }
      const timer = setTimeout(done, withinMs, false)
      const stop = this.listen((entry) => matches(entry) && done(true))
    })
  }

  /** Returns how to stop listening. */
  listen(listener: (entry: Entry) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** What the OP did; `nameOf` knows users and clients. */
export function sayOp(event: OpEvent, nameOf: (id: string) => string): Said {
  switch (event.type) {
    case 'signed-in':
      return { tone: 'begin', text: `${nameOf(event.sub)} signed in for ${nameOf(event.clientId)}` }
    case 'sending':
      return { tone: 'plain', text: `Sends ${nameOf(event.clientId)} a Logout Token` }
    case 'introspected':
      return { tone: 'plain', text: `Tells the ${nameOf(event.clientId)} about an access token` }
    case 'logged-out':
      return sayLoggedOut(event, nameOf)
  }
}

function sayLoggedOut(event: Extract<OpEvent, { type: 'logged-out' }>, nameOf: (id: string) => string): Said {
  const { sub, confirmedBy, refusedBy } = event
  const who = sub === undefined ? 'A browser' : nameOf(sub)
  const names = (ids: readonly string[]) => new Intl.ListFormat('en').format(ids.map(nameOf).sort())
  if (refusedBy.length > 0)
    return { tone: 'bad', text: `${who} is logged out, but ${names(refusedBy)} did not confirm it` }
  if (confirmedBy.length > 0) return { tone: 'ok', text: `${who} is logged out, confirmed by ${names(confirmedBy)}` }
  return { tone: 'ok', text: `${who} is logged out; no application had to be told` }
}

/** `node`: by which of several nodes. */
export function sayReceived(node: number | undefined): Said {
  return { tone: 'plain', text: `Logout Token received${node === undefined ? '' : ` by node ${node}`}` }
}

/** What the API answered to a call with an access token. */
export function sayApi(status: number): Said {
  if (status === 200) return { tone: 'ok', text: 'Served a call' }
  if (status === 401) return { tone: 'end', text: 'Refused an access token (401)' }
  return { tone: 'bad', text: `Refused a call: ${status}` }
}

/** What an RP did. Its events name nobody, so neither does this. */
export function sayRp(event: LogoutEvent): Said {
  switch (event.type) {
    case 'bound':
      return event.ended
        ? { tone: 'end', text: 'A sign-in arrived after its own logout: nobody is signed in' }
        : { tone: 'begin', text: 'Session opened and bound to the sign-on' }
    case 'unbound':
      return { tone: 'end', text: 'Logged out here: session ended' }
    case 'logout':
      return {
        tone: 'end',
        text: `${event.destroyed === 0 ? 'No session left to end' : `${sessions(event.destroyed)} ended`}${BY_WHOM[event.reason] ?? ''}`,
      }
    case 'logout-failed':
      return { tone: 'bad', text: `${sessions(event.failed)} not ended yet${event.retrying ? ', trying again' : ''}` }
    case 'answer':
      return {
        tone: event.status === 200 ? 'ok' : 'bad',
        text: `Answered ${event.status} after ${Math.ceil(event.durationSeconds * 1000)}\u00a0ms`,
      }
    case 'refused':
      return { tone: 'bad', text: `Refused: ${event.error.message}` }
    case 'awaiting-keys':
      return { tone: 'bad', text: 'Kept a Logout Token until the keys of the provider can be had' }
    case 'replay':
      return { tone: 'plain', text: 'The same Logout Token again: nothing to do' }
    case 'resurrection-blocked':
      return {
        tone: 'plain',
        text:
          event.how === 'write' ? 'A late write of an ended session was dropped' : 'An ended session was turned away',
      }
    case 'logout-token-sent':
      return event.outcome === 'done'
        ? { tone: 'end', text: 'An application that hangs on this one was told' }
        : { tone: 'bad', text: event.error.message }
    case 'revalidated':
      return { tone: event.found === 'away' ? 'bad' : 'plain', text: `Asked the provider: ${event.found}` }
    case 'tokens-revoked':
      return event.outcome === 'failed'
        ? { tone: 'bad', text: event.error.message }
        : { tone: 'plain', text: event.outcome === 'revoked' ? 'Revoked its tokens' : 'Revokes no such tokens' }
    case 'passed-on':
      return { tone: 'plain', text: `Passed on to ${event.hops.length} applications` }
    case 'warning':
      return { tone: 'bad', text: event.error.message }
  }
}

/** Where nobody but the user did it; what the OP has ordered is said by the line before. */
const BY_WHOM: Readonly<Record<string, string>> = { [BY_USER]: ', by the user on "your devices"' }

function sessions(count: number): string {
  return count === 1 ? '1 session' : `${count} sessions`
}
