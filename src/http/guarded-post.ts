// One careful POST to an address that others have registered: never redirected, bounded in time and answer, and not into the
// network that this process sees. Knows no token.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
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
  const http = new HttpAgent(options)
  const https = new HttpsAgent(options)
  return {
    async post({ url, headers, body, timeoutSeconds }) {
      const { protocol, hostname } = new URL(url)
      // A numeric address is not looked up.
      if (!allowPrivateAddresses && isPrivateLiteral(hostname)) throw new PrivateAddressError()
      const signal = AbortSignal.timeout(timeoutSeconds * 1000)
      const length = { 'Content-Length': String(Buffer.byteLength(body)) }
      const about = { method: 'POST', headers: { ...headers, ...length }, signal }
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          const sent =
            protocol === 'https:'
              ? httpsRequest(url, { ...about, agent: https })
              : httpRequest(url, { ...about, agent: http })
          // A connection that is handed over instead of answered (101) closes without a word; after a response this
          // says nothing.
          const closed = () => reject(new Error('The connection was closed without an answer'))
          sent.on('response', resolve).on('error', reject).on('close', closed).end(body)
        })
        return await answerOf(response.statusCode ?? 0, response)
      } catch (error) {
        // Node calls every abort the same; the signal knows that it was the time.
        throw signal.aborted ? signal.reason : error
      }
    },
    close() {
      http.destroy()
      https.destroy()
    },
  }
}

/** The same by somebody's own `fetch`, which sees to it where it connects to. */
export function postsBy(fetch: Fetch): GuardedPosts {
  return {
    async post({ url, headers, body, timeoutSeconds }) {
      const signal = AbortSignal.timeout(timeoutSeconds * 1000)
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal })
      return answerOf(response.status, response.body ?? [])
    },
    close() {},
  }
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
