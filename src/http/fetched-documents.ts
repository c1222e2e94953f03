// Careful GETs of somebody else's documents: no redirects, only 200, a bounded body. Knows no metadata and no keys.
import { milliseconds, unlessAborted } from '../deadline.js'
import { collected } from './bounded-body.js'

/** Metadata and JWK Sets are a few kilobytes; what is larger by this much is a mistake or an attack. */
export const MAX_BODY_BYTES = 1_048_576

/**
 * The global `fetch`, or one like it: through a proxy, with a client certificate, to an internal address. It must not
 * follow redirects, as `redirect` says. It should heed `signal`: nobody waits for it any longer.
 */
export type Fetch = (url: string, init: FetchInit) => Promise<Response>

/**
 * What a `Fetch` is given: no more than is used, so that the `fetch` of undici, of any release, is one without a cast.
 */
export interface FetchInit {
  /** Default: `GET`. */
  readonly method?: string
  readonly headers: Record<string, string>
  readonly body?: string | URLSearchParams | null
  readonly redirect: 'manual'
  readonly signal: AbortSignal | null
}

/** What an OP is asked with, beside the URL. */
export interface DocumentRequest {
  readonly headers: Record<string, string>
  readonly signal: AbortSignal
  /** Default: the global `fetch`. */
  readonly fetch?: Fetch | undefined
}

/** The document was answered with another status than 200, a redirect among them. */
export class DocumentStatusError extends Error {
  readonly status: number

  constructor(status: number) {
    super(`The document was answered with status ${status}`)
    this.status = status
  }
}

/**
 * Fetches a document and hands back its response with the whole body read. Rejects for every other status than 200, for
 * a redirect (which could lead inside the network that this process sees), for a body over 1 MiB, decompressed, and
 * when the signal aborts, whether `fetch` heeds it or not.
 */
export function fetchDocument(url: string, request: DocumentRequest): Promise<Response> {
  return unlessAborted(fetched(url, request), request.signal)
}

async function fetched(url: string, { headers, signal, fetch: send = fetch }: DocumentRequest): Promise<Response> {
  const response = await send(url, { headers, redirect: 'manual', signal })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new DocumentStatusError(response.status)
  }
  const body = await collected(response.body ?? [], MAX_BODY_BYTES, () => new Error('The document is too large'))
  return new Response(body, { headers: { 'Content-Type': response.headers.get('Content-Type') ?? '' } })
}

/** POSTs, follows no redirect, and waits no longer than that, whether `fetch` heeds its signal or not. */
export function posted(
  send: Fetch,
  url: string,
  timeoutSeconds: number,
  init: Pick<FetchInit, 'headers' | 'body'>,
): Promise<Response> {
  const signal = AbortSignal.timeout(milliseconds(timeoutSeconds))
  return unlessAborted(send(url, { ...init, method: 'POST', redirect: 'manual', signal }), signal)
}
