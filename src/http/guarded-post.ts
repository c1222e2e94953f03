// One careful POST to an address that others have registered: never redirected, bounded in time and answer, and not
// into the network that this process sees. Knows no token.

import type { AgentOptions, ClientRequest, Agent as HttpAgent, IncomingMessage, RequestOptions } from 'node:http'
import { milliseconds, unlessAborted } from '../deadline.js'
import { collected } from './bounded-body.js'
import type { Fetch } from './fetched-documents.js'
import { isPrivateLiteral, PrivateAddressError, publicLookup } from './public-address.js'

export interface Post {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly timeoutSeconds: number
}

/** What came back. `body` is absent where it was longer than anybody reads. */
export interface PostAnswer {
  readonly status: number
  readonly body: Uint8Array | undefined
}

export interface GuardedPosts {
  /** Rejects with a `PrivateAddressError`, or with whatever kept the answer from coming in time. */
  post(post: Post): Promise<PostAnswer>
  /** Gives up what is under way; nothing is posted from now on. */
  close(): void
}

/** Error answers are a line of JSON. */
const ANSWER_LIMIT_BYTES = 16_384
/** Connections to one host at one time; more deliveries wait for one of them. */
const CONNECTIONS_PER_HOST = 8

/** Connections of its own, since one that somebody else made to the same name was not looked at. */
export function guardedPosts(allowPrivateAddresses: boolean, lookup = publicLookup()): GuardedPosts {
  const options = {
    keepAlive: true,
    maxSockets: CONNECTIONS_PER_HOST,
    ...(!allowPrivateAddresses && { lookup }),
  }
  // Loaded by the first delivery: a receiver alone never posts, and TLS takes longer to load than this package.
  const clients = new Map<string, Promise<Client>>()
  const clientOf = (protocol: string): Promise<Client> => {
    const known = clients.get(protocol) ?? clientFor(protocol, options)
    clients.set(protocol, known)
    return known
  }
  const attempts = new Attempts()
  return {
    post: ({ url, headers, body, timeoutSeconds }) =>
      attempts.within(timeoutSeconds, async (signal) => {
        const { protocol, hostname } = new URL(url)
        // A numeric address is not looked up.
        if (!allowPrivateAddresses && isPrivateLiteral(hostname)) throw new PrivateAddressError()
        const length = { 'Content-Length': String(Buffer.byteLength(body)) }
        const { request, agent } = await clientOf(protocol)
        signal.throwIfAborted()
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          const sent = request(url, { method: 'POST', headers: { ...headers, ...length }, signal, agent })
          // A connection that is handed over instead of answered (101) closes without a word; after a response this
          // says nothing.
          const closed = () => reject(new Error('The connection was closed without an answer'))
          sent.on('response', resolve).on('error', reject).on('close', closed).end(body)
        })
        return answerOf(response.statusCode ?? 0, response)
      }),
    close() {
      attempts.close()
      for (const client of clients.values()) void client.then(({ agent }) => agent.destroy())
    },
  }
}

interface Client {
  readonly agent: HttpAgent
  readonly request: (url: string, options: RequestOptions) => ClientRequest
}

async function clientFor(protocol: string, options: AgentOptions): Promise<Client> {
  const { Agent, request } = await (protocol === 'https:' ? import('node:https') : import('node:http'))
  return { agent: new Agent(options), request }
}

/** The same by somebody's own `fetch`, which sees to it where it connects to. */
export function postsBy(fetch: Fetch): GuardedPosts {
  const attempts = new Attempts()
  return {
    post: ({ url, headers, body, timeoutSeconds }) =>
      attempts.within(timeoutSeconds, async (signal) => {
        const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal })
        return answerOf(response.status, response.body ?? [])
      }),
    close: () => attempts.close(),
  }
}

/** What is under way: each with a deadline of its own, all of them given up when it closes. */
class Attempts {
  readonly #underWay = new Set<AbortController>()
  #isClosed = false

  async within<T>(seconds: number, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closedError()
    const underWay = new AbortController()
    const { signal } = underWay
    const late = () => underWay.abort(new DOMException('The answer did not come in time', 'TimeoutError'))
    const timer = setTimeout(late, milliseconds(seconds)).unref()
    this.#underWay.add(underWay)
    try {
      // Whether a `fetch` heeds its signal is its own affair; a turn that it took for ever would be everybody's.
      return await unlessAborted(attempt(signal), signal)
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(underWay)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const underWay of this.#underWay) underWay.abort(closedError())
  }
}

function closedError(): Error {
  return new Error('Nothing is posted any more')
}

class TooLong extends Error {}

async function answerOf(status: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<PostAnswer> {
  try {
    return { status, body: await collected(chunks, ANSWER_LIMIT_BYTES, () => new TooLong()) }
  } catch (error) {
    if (error instanceof TooLong) return { status, body: undefined }
    throw error
  }
}
