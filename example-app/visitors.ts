// Who looks at the overview: a cookie for each browser, and what the demo keeps of it. Nobody is shown what is another
// visitor's, and nothing is done with it.
import { randomBytes } from 'node:crypto'
import type { Request, Response } from 'express'
import { LRUCache } from 'lru-cache'
import type { HttpBrowser } from './http-browser.js'
import type { Report } from './trials.js'

const COOKIE = 'demo_visitor'

export interface Visitor {
  readonly id: string
  /** Whom the trials sign in where nobody is signed in. */
  sub: string
  /** The sign-on at the OP from which it has its last access token. */
  tokenFrom: string | undefined
  /** The second device of each user. */
  readonly phones: Map<string, HttpBrowser>
  /** What came of each trial when it was last run, by its id, the latest one last. */
  readonly reports: Map<string, Omit<Report, 'setCookies'>>
  /** Of all trials that it ran: how often each application did right. */
  readonly totals: Map<string, { readonly name: string; right: number; runs: number }>
}

export class Visitors {
  readonly #known = new LRUCache<string, Visitor>({ max: 1000 })
  readonly #bySid = new LRUCache<string, string>({ max: 10_000 })

  /** The visitor whose browser sent the request; a new one is given its cookie. */
  of(req: Request, res: Response): Visitor {
    const value = req.headers.cookie?.match(new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`))?.[1]
    const known = value === undefined ? undefined : this.#known.get(value)
    if (known) return known
    const [id, sub] = [randomBytes(16).toString('base64url'), 'ada']
    const visitor = { id, sub, tokenFrom: undefined, phones: new Map(), reports: new Map(), totals: new Map() }
    this.#known.set(id, visitor)
    res.append('Set-Cookie', `${COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`)
    return visitor
  }

  /** By which `sid` each application knows the visitor. */
  hasSids({ id }: Visitor, sids: Readonly<Record<string, string>> = {}): void {
    for (const [clientId, sid] of Object.entries(sids)) this.#bySid.set(`${clientId} ${sid}`, id)
  }

  /** Of whom a Logout Token to that application speaks; `undefined` if of nobody who was here. */
  readonly whose = (clientId: string, sid: unknown): string | undefined => this.#bySid.get(`${clientId} ${sid}`)
}

/** Keeps what came of a trial. */
export function keepReport({ reports, totals }: Visitor, report: Omit<Report, 'setCookies'>): void {
  // Anew, so that it is the last one.
  reports.delete(report.id)
  reports.set(report.id, report)
  for (const { clientId, name, good } of report.outcomes) {
    const total = totals.get(clientId) ?? { name, right: 0, runs: 0 }
    total.runs += 1
    if (good) total.right += 1
    totals.set(clientId, total)
  }
}
