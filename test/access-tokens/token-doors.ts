// The ways in which an API can know about access tokens, each as one question about one token; and the world around it:
// a clock, an authorization server, a Relying Party and its store, all moved by hand. Knows no promise.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose'
import {
  createClaims,
  createJwtCheck,
  createRelay,
  createRelayReceiver,
  type MarksStore,
  type TokenClaims,
  type TokenHandler,
  withLoginRecords,
} from '../../src/access-tokens/index.js'
import { evictedKey } from '../../src/access-tokens/token-claims.js'
import type { EventListener } from '../../src/events.js'
import type { Mark } from '../../src/marks/covering.js'
import { type LogoutTarget, type TargetKey, targetKey, tokenKey } from '../../src/marks/target.js'
import type { LogPage } from '../../src/stores/log-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { ISSUER, NOW, RP } from './hand-run.js'

/** 200, 401, 503. */
export type Outcome = 'in' | 'refused' | 'no verdict'

/** What an API is given to know tokens by. */
export interface Given {
  readonly clock: () => number
  readonly store: MarksStore
  readonly onEvent: EventListener
  /** What the authorization server knows of a token, or has signed; waits as long as the test has it wait. */
  source(token: string): Promise<TokenClaims>
  /** The keys of the authorization server; wait as `source` does. */
  readonly keys: Parameters<ReturnType<typeof createJwtCheck>['requireJwt']>[0]['keys'] & {}
  /** Every mark, in the order in which they were written: what a broadcast would tell. */
  readonly heard: readonly Mark[]
  /** The proof of possession, asked of tokens that are bound. */
  confirm(): boolean
}

export interface Door {
  ask(token: string): Promise<Outcome>
}

export type MakeDoor = (given: Given) => Door

export const AUDIENCE = 'https://api.example.com'
const DAY = 86_400

/** One request to a handler; what it says is heard. */
export function askHandler(handler: TokenHandler, token: string, hear: (said: unknown) => void): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const res = {
      statusCode: 200,
      setHeader: (name: string, value: string) => hear([name, value]),
      end(body?: string) {
        hear(body)
        if (res.statusCode === 401) resolve('refused')
        else if (res.statusCode === 503) resolve('no verdict')
        else reject(new Error(`answered ${res.statusCode}`))
      },
    }
    handler({ headers: { authorization: `Bearer ${token}` } }, res, (error) =>
      error === undefined ? resolve('in') : reject(error),
    )
  })
}

export const introspected: MakeDoor = ({ clock, store, onEvent, source, confirm }) => {
  const claims = createClaims({ introspection: { issuer: ISSUER, introspect: source }, store, clock, onEvent })
  const handler = claims.requireToken({ confirm })
  return { ask: (token) => askHandler(handler, token, () => {}) }
}

export const verifiedHere: MakeDoor = ({ clock, store, onEvent, keys, confirm }) => {
  const check = createJwtCheck({ store, clock, onEvent })
  const handler = check.requireJwt({ issuer: ISSUER, audience: AUDIENCE, keys, confirm, clockToleranceSeconds: 0 })
  return { ask: (token) => askHandler(handler, token, () => {}) }
}

/** `isRevoked` behind somebody else's verification, which looks at `exp` as those do. */
export const verifiedElsewhere: MakeDoor = ({ clock, store, onEvent, source, confirm }) => {
  const check = createJwtCheck({ store, clock, onEvent })
  const ask = async (token: string): Promise<Outcome> => {
    try {
      const claims = await source(token)
      if (Number(claims.exp) <= clock() || (await check.isRevoked(claims, token))) return 'refused'
      return claims.cnf === undefined || confirm() ? 'in' : 'refused'
    } catch {
      return 'no verdict'
    }
  }
  return { ask }
}

/** How the API knows of logouts: by the store of the Relying Party, or by a relay that tells it. */
export type Link = 'shared store' | 'relay'

type Subject = { readonly sub: string } | { readonly sid: string; readonly sub?: string }

export interface World {
  readonly clock: () => number
  /** A token that is good by itself, with changes of its claims; returns the token. */
  issue(changes?: Record<string, unknown>): Promise<string>
  ask(token: string): Promise<Outcome>
  /** Resolves when the OP may hear 200. */
  logOut(subject: Subject, issuedAt?: number): Promise<void>
  /** A login and the token that came with it, or none; returns whether it lives. */
  bind(sessionId: string, of: { sid: string; sub: string; issuedAt: number; token?: string }): Promise<void>
  endToken(token: string): Promise<void>
  pass(seconds: number): Promise<void>
  /** The API's process begins anew. */
  restart(): Promise<void>
  /** From now on claims or keys wait until the returned function lets them come, or fails them. */
  holdSource(): { release(): void; fail(): void }
  /** The next question to the API's store is read at once, and answered when the returned function is called. */
  holdNextRead(): () => void
  readonly state: { storeUp: boolean; storeHangs: boolean; proves: boolean; sourced: number; proofs: number }
  /** Every key the store was asked for, and everything that was said to anybody. */
  readonly askedKeys: string[]
  readonly said: unknown[]
  close(): Promise<void>
}

const signing = await generateKeyPair('EdDSA', { extractable: true })
const relaying = await generateKeyPair('ES256', { extractable: true })

export async function world(makeDoor: MakeDoor, link: Link): Promise<World> {
  let now = NOW
  const clock = () => now
  const closers: (() => unknown)[] = []
  const memory = memoryStore({ clock })
  const log: Mark[] = []
  const rp = withLoginRecords(memory)
  const state = { storeUp: true, storeHangs: false, proves: true, sourced: 0, proofs: 0 }
  const askedKeys: string[] = []
  const said: unknown[] = []
  const tokens = new Map<string, TokenClaims>()
  let sourceGate: Promise<void> | undefined
  let storeGate: Promise<void> | undefined

  const begin = async (target: TargetKey, issuedAt: number | undefined) => {
    const order = { target, issuedAt, seenSecondsAgo: 0, marksExpireAt: now + DAY, mayDestroy: true }
    const begun = await rp.begin(order)
    if (begun.replayed) throw new Error('a replay')
    log.push(begun.mark)
    for (const key of begun.tokenKeys) log.push({ ...begun.mark, scope: 'token', key, subKey: undefined })
    await known.tell(target, begun.mark)
  }
  const guarded =
    <Args extends unknown[], Result>(work: (...args: Args) => Result | Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      if (!state.storeUp) throw new Error('the store is away')
      if (state.storeHangs) return new Promise(() => {})
      const gate = storeGate
      storeGate = undefined
      const result = await work(...args)
      await gate
      return result
    }
  const watched = (store: MarksStore): MarksStore => ({
    marks: guarded((keys) => {
      askedKeys.push(...keys)
      return store.marks(keys)
    }),
    begin: guarded((order) => store.begin(order)),
    ...(store.read && {
      read: guarded((name: string) => {
        askedKeys.push(name)
        return store.read?.(name) ?? Promise.reject(new Error('no records'))
      }),
    }),
  })
  const known = link === 'relay' ? await relayed() : { store: rp as MarksStore, tell: async () => {}, restart() {} }
  const start = (): Door =>
    makeDoor({
      clock,
      store: watched(known.store),
      heard: log,
      onEvent: (event) => void said.push(event),
      async source(token) {
        state.sourced += 1
        await sourceGate
        return tokens.get(asSigned(token)) ?? { active: false }
      },
      async keys() {
        state.sourced += 1
        await sourceGate
        return signing.publicKey
      },
      confirm() {
        state.proofs += 1
        return state.proves
      },
    })
  let door = start()

  async function relayed() {
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(relaying.publicKey)), alg: 'ES256' }] })
    const make = () =>
      createRelayReceiver({
        issuer: 'https://rp.example.com',
        audience: 'api',
        keys,
        boundSeconds: 5,
        clock,
        monotonic: clock,
      })
    let receiver = make()
    let receive = receiver.receiver()
    const server = createServer((req, res) => receive(req, res)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port }: AddressInfo = Object(server.address())
    const pull = async (cursor?: string): Promise<LogPage> => {
      const page = {
        cursor: String(log.length),
        now,
        sessionIds: [],
        endedIds: [],
        moves: [],
        reset: cursor === undefined,
      }
      return { ...page, marks: log.slice(Number(cursor ?? 0)) }
    }
    const relay = createRelay({
      store: { pull },
      issuer: 'https://rp.example.com',
      privateKey: relaying.privateKey,
      algorithm: 'ES256',
      apis: [{ endpoint: `http://127.0.0.1:${port}`, audience: 'api' }],
      everySeconds: 60, // what happens, happens because of the test
      dangerouslyAllowHttp: true,
      clock,
    })
    closers.push(() => {
      relay.close()
      server.closeAllConnections()
      server.close()
    })
    await relay.refresh()
    const store: MarksStore = {
      marks: (keys) => receiver.store.marks(keys),
      begin: (order) => receiver.store.begin(order),
    }
    return {
      store,
      tell: (target: TargetKey, mark: Mark) => relay.evict({ target, mark, tokenKeys: [] }),
      async restart() {
        receiver = make()
        receive = receiver.receiver()
        await relay.refresh()
      },
      // The nonce of a round was given in the one before: only the second counts from now.
      async refresh() {
        await relay.refresh()
        await relay.refresh()
      },
    }
  }

  return {
    clock,
    state,
    askedKeys,
    said,
    async issue(changes = {}) {
      const claims = {
        ...{ iss: ISSUER, aud: AUDIENCE, client_id: RP.clientId, sub: 'alice', sid: 's1' },
        ...{ iat: Math.floor(now) - 10, exp: Math.floor(now) + 3600, jti: String(tokens.size) },
        ...changes,
      }
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt' })
        .sign(signing.privateKey)
      tokens.set(token, Object.assign({ active: true }, JSON.parse(JSON.stringify(claims))))
      return token
    },
    ask: (token) => door.ask(token),
    logOut: (subject, issuedAt = now) => begin(targetKey({ ...RP, ...subject } as LogoutTarget), issuedAt),
    async bind(sessionId, { sid, sub, issuedAt, token }) {
      const keys = { subKey: targetKey({ ...RP, sub }).key, sidKey: targetKey({ ...RP, sid }).key }
      const tokenKeys = token === undefined ? [] : [tokenKey(token)]
      await rp.bind({ sessionId, ...keys, issuedAt, expiresAt: now + DAY, tokenKeys })
    },
    endToken: (token) => begin({ scope: 'token', key: evictedKey(tokenKey(token)) }, undefined),
    async pass(seconds) {
      now += seconds
      await ('refresh' in known ? known.refresh() : undefined)
    },
    async restart() {
      door = start()
      await known.restart()
    },
    holdSource() {
      const { promise, resolve, reject } = withResolvers<void>()
      promise.catch(() => {})
      sourceGate = promise
      const over = (then: () => void) => () => {
        sourceGate = undefined
        then()
      }
      return { release: over(resolve), fail: over(() => reject(new Error('unreachable'))) }
    },
    holdNextRead() {
      const { promise, resolve } = withResolvers<void>()
      storeGate = promise
      return () => resolve()
    },
    async close() {
      for (const close of closers) await close()
    },
  }
}

/** As it was issued: whoever verifies a JWT looks at the octets of its signature, not at how they are written. */
function asSigned(token: string): string {
  const dot = token.lastIndexOf('.')
  return `${token.slice(0, dot)}.${Buffer.from(token.slice(dot + 1), 'base64url').toString('base64url')}`
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
