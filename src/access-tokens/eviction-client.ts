// Tells an API that does not share the logout store which tokens have ended. Sends to one address, over POST, and
// nothing else.
import { LogoutError } from '../errors.js'
import { basicAuthorization } from '../http/basic-auth.js'
import { type Fetch, posted } from '../http/fetched-documents.js'
import { outline } from '../http/outline.js'
import { safeUrlOption } from '../http/safe-url.js'
import type { ClaimsEvictor } from '../logout/claims-evictor.js'
import { tokenKey } from '../marks/target.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'

/** Options of `createEvictionClient`. */
export interface EvictionClientOptions {
  /** Where the API has mounted its `evictionEndpoint`. */
  readonly endpoint: string
  /** What the API knows this Relying Party by. */
  readonly clientId: string
  readonly clientSecret: string
  /** Seconds; default 2. */
  readonly timeoutSeconds?: number
  /** Sends the requests in place of the global `fetch`: through a proxy, with a client certificate. */
  readonly fetch?: Fetch
  /** Lets secrets travel without TLS. For tests and loopback interfaces only. */
  readonly dangerouslyAllowHttp?: boolean
}

/**
 * A client of one API's eviction endpoint. As the receiver's `claims` it tells the API by itself which of the recorded
 * tokens each logout has ended, by their hashes; a logout is not complete before the API has said 200.
 */
export interface EvictionClient extends ClaimsEvictor {
  /** Ends one token at the API. Rejects with `ERR_EVICT` if the API did not confirm it; calling again is safe. */
  evictToken(token: string): Promise<void>
}

/** At most this many keys in one request: 32 times 54 bytes are far below any body limit. */
const KEYS_PER_REQUEST = 32
const DEFAULT_TIMEOUT_SECONDS = 2

/** `TypeError` where the options cannot work. */
export function createEvictionClient(options: EvictionClientOptions): EvictionClient {
  assertUsable(options)
  const evict = async (keys: readonly string[]): Promise<void> => {
    for (let i = 0; i < keys.length; i += KEYS_PER_REQUEST) {
      const form = new URLSearchParams()
      for (const key of keys.slice(i, i + KEYS_PER_REQUEST)) form.append('token_key', key)
      await post(options, form)
    }
  }
  return {
    // The hash is enough to find the entry, so the token itself need not travel, nor be kept by the Relying Party.
    evictToken: (token) => evict([tokenKey(token)]),
    evict: ({ tokenKeys }) => evict(tokenKeys),
  }
}

async function post(options: EvictionClientOptions, body: URLSearchParams): Promise<void> {
  let response: Response
  try {
    const { endpoint, clientId, clientSecret, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, fetch: send = fetch } = options
    const headers = { Authorization: basicAuthorization({ id: clientId, secret: clientSecret }) }
    response = await posted(send, endpoint, timeoutSeconds, { headers, body })
    await response.body?.cancel()
  } catch (error) {
    throw notEvicted('eviction_failed', outline(error))
  }
  if (response.status === 401 || response.status === 403) throw notEvicted('eviction_refused')
  if (response.status !== 200) throw notEvicted('eviction_failed', new Error(`HTTP ${response.status}`))
}

function notEvicted(reason: 'eviction_failed' | 'eviction_refused', cause?: unknown): LogoutError {
  return new LogoutError('ERR_EVICT', 'The API did not confirm that cached claims were dropped', {
    reason,
    cause,
  })
}

const NAMES: OptionNames<EvictionClientOptions> = {
  endpoint: true,
  clientId: true,
  clientSecret: true,
  timeoutSeconds: true,
  fetch: true,
  dangerouslyAllowHttp: true,
}

function assertUsable(options: EvictionClientOptions): void {
  assertOptions('createEvictionClient()', options, NAMES)
  const { endpoint, clientId, clientSecret, ...rest } = options
  safeUrlOption('createEvictionClient() option endpoint', endpoint, rest.dangerouslyAllowHttp === true)
  if (!isText(clientId)) throw new TypeError('clientId must be a non-empty string')
  if (!isText(clientSecret)) {
    throw new TypeError('clientSecret must be the secret that the API has for this clientId')
  }
  if (rest.fetch !== undefined && typeof rest.fetch !== 'function') {
    throw new TypeError('fetch must be a function like the global fetch')
  }
  assertNumberIfGiven('timeoutSeconds', rest.timeoutSeconds, { above: 0, most: 60 })
}
