// Who is signed in where: the records of the OP, of the RPs and of the API, put together by `sid`. Changes nothing.
import type { SessionData } from 'express-session'
import { LRUCache } from 'lru-cache'
import type { Api, Kept } from './api.js'
import type { KeptClaims } from './kept-claims.js'
import type { Op } from './op.js'
import { USERS } from './op-pages.js'

/** An application in which people sign in. */
export interface Place {
  readonly clientId: string
  readonly name: string
  /** Origins of its nodes. */
  readonly urls: readonly string[]
  /** Whether its access tokens are for the API. */
  readonly usesApi: boolean
  /** Whether its receiver is not this package's. */
  readonly byHand: boolean
  readonly sessions: () => Promise<readonly SessionData[]>
}

export interface SignOn {
  readonly id: string
  readonly name: string
  readonly atOp: boolean
  /** Client ids of the RPs that hold a session of this sign-on. */
  readonly signedInAt: readonly string[]
  /** Whether an access token for the API came with it. */
  readonly hasToken: boolean
  /** What the API keeps of that token. */
  readonly kept: Kept | null
}

export interface SignOnsOptions {
  readonly op: Op
  readonly issuer: string
  readonly places: readonly Place[]
  readonly api: Pick<Api, 'claims'>
  readonly keptClaims: KeptClaims
}

/** A session that a browser holds at an application. */
export interface Held {
  readonly clientId: string
  readonly sub: string
  readonly sid: string | undefined
}

interface PlaceSession extends Held {
  readonly accessToken: string | undefined
}

export class SignOns {
  readonly #options: SignOnsOptions
  readonly #startedAt = Math.floor(Date.now() / 1000)
  readonly #tokens = new LRUCache<string, string>({ max: 1000 })

  constructor(options: SignOnsOptions) {
    this.#options = options
  }

  /**
   * One per browser: the OP's sessions with what belongs to them, then sessions that live on without one. `besides`:
   * sessions that are shown elsewhere.
   */
  async look(besides: readonly Held[] = []): Promise<SignOn[]> {
    const { op, places, api, keptClaims } = this.#options
    const [kept, ...sessions] = await Promise.all([
      keptClaims.list(api.claims),
      ...places.map((place) => this.#sessionsAt(place)),
    ])
    const keptFor = (clientId: string, sid: string | undefined) =>
      kept.find(({ claims }) => sid !== undefined && claims.client_id === clientId && claims.sid === sid)?.kept
    const unclaimed = new Set(sessions.flat())
    const atOp = op.sessions().map(({ uid, sub, sids }) => {
      const own = [...unclaimed].filter(({ clientId, sid }) => sid !== undefined && sids[clientId] === sid)
      for (const session of own) unclaimed.delete(session)
      for (const { accessToken } of own) if (accessToken !== undefined) this.#tokens.set(uid, accessToken)
      return {
        id: uid,
        name: nameOf(sub),
        atOp: true,
        signedInAt: [...new Set(own.map(({ clientId }) => clientId))],
        hasToken: this.#tokens.has(uid),
        kept: Object.entries(sids).flatMap(([clientId, sid]) => keptFor(clientId, sid) ?? [])[0] ?? null,
      }
    })
    for (const { clientId, sid } of besides) {
      for (const session of unclaimed)
        if (session.clientId === clientId && session.sid === sid) unclaimed.delete(session)
    }
    const leftOver = [...unclaimed].map(({ clientId, sub, sid }) => ({
      id: `${clientId}-${sid ?? sub}`,
      name: nameOf(sub),
      atOp: false,
      signedInAt: [clientId],
      hasToken: false,
      kept: keptFor(clientId, sid) ?? null,
    }))
    return [...atOp, ...leftOver]
  }

  /**
   * The last access token of a sign-on, for a call as a job or a phone would make it that still has it after the
   * logout.
   */
  tokenOf(id: string): string | undefined {
    return this.#tokens.get(id)
  }

  async #sessionsAt({ clientId, usesApi, sessions }: Place): Promise<PlaceSession[]> {
    return (await sessions()).flatMap(({ signOn }) => {
      if (!signOn || !this.#isOfThisRun(signOn)) return []
      return [{ clientId, sub: signOn.sub, sid: signOn.sid, accessToken: usesApi ? signOn.accessToken : undefined }]
    })
  }

  /** A Redis or PostgreSQL may hold sessions of an earlier run, with an OP that is no more. */
  #isOfThisRun({ issuer, issuedAt }: { readonly issuer: string; readonly issuedAt: number }): boolean {
    return issuer === this.#options.issuer && issuedAt >= this.#startedAt
  }
}

function nameOf(sub: string): string {
  return USERS.get(sub) ?? sub
}
