// What the demo OP remembers, in memory and with an end: oidc-provider's adapter contract, and a list of its sessions.
import { LRUCache } from 'lru-cache'
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider'

/** One browser that is signed in at the OP. */
export interface OpSession {
  /** Stays the same as long as the sign-on lives. */
  readonly uid: string
  readonly sub: string
  /** Epoch seconds. */
  readonly signedInAt: number
  /** The `sid` by which each client knows this session. */
  readonly sids: Readonly<Record<string, string>>
}

export class OpMemory {
  readonly #rows = new LRUCache<string, AdapterPayload>({ max: 20_000 })

  readonly adapter: AdapterFactory = (model) => this.#adapterOf(model)

  /** Everybody who is signed in, oldest first. */
  sessions(): OpSession[] {
    return [...this.#rows]
      .flatMap(([key, payload]) => (key.startsWith('Session:') ? (toSession(payload) ?? []) : []))
      .sort((a, b) => a.signedInAt - b.signedInAt)
  }

  /** The session that a browser's cookie names. */
  sessionByCookie(value: string): OpSession | undefined {
    const payload = this.#rows.get(`Session:${value}`)
    return payload && toSession(payload)
  }

  #adapterOf(model: string): Adapter {
    const rows = this.#rows
    const keyOf = (id: string) => `${model}:${id}`
    return {
      async upsert(id, payload, expiresIn) {
        rows.set(keyOf(id), payload, expiresIn === undefined ? {} : { ttl: expiresIn * 1000 })
      },
      async find(id) {
        return rows.get(keyOf(id))
      },
      async findByUid(uid) {
        for (const [key, payload] of rows) if (key.startsWith(`${model}:`) && payload.uid === uid) return payload
        return undefined
      },
      // Only the device flow asks, and it is off.
      async findByUserCode() {
        return undefined
      },
      async consume(id) {
        const payload = rows.get(keyOf(id))
        if (payload) payload.consumed = Math.floor(Date.now() / 1000)
      },
      async destroy(id) {
        rows.delete(keyOf(id))
      },
      async revokeByGrantId(grantId) {
        for (const [key, payload] of rows) if (payload.grantId === grantId) rows.delete(key)
      },
    }
  }
}

function toSession({ uid, accountId, loginTs, authorizations }: AdapterPayload): OpSession | undefined {
  if (uid === undefined || accountId === undefined) return undefined
  const sids: Record<string, string> = {}
  for (const [clientId, { sid }] of Object.entries(authorizations ?? {})) if (sid !== undefined) sids[clientId] = sid
  return { uid, sub: accountId, signedInAt: loginTs ?? 0, sids }
}
