// A server's published keys, as jose fetches and keeps them, but bounded and asked for with care. Knows no token.
import type { JWTVerifyGetKey } from 'jose'
import { createRemoteJWKSet, customFetch } from 'jose/jwks/remote'
import { milliseconds } from '../deadline.js'
import { type Fetch, fetchDocument } from '../http/fetched-documents.js'
import { OneQuestion } from '../providers/one-question.js'

export interface RemoteKeySetOptions {
  readonly fetch?: Fetch | undefined
  readonly timeoutSeconds: number
  readonly clock: () => number
}

/** `uri`: one that was checked before. */
export function remoteKeySet(uri: string, { fetch, timeoutSeconds, clock }: RemoteKeySetOptions): JWTVerifyGetKey {
  // jose asks once at a time, and leaves the server alone after a fetch that succeeded, not after one that failed.
  const question = new OneQuestion<Response>(clock)
  const send = (url: string, { headers, signal }: { readonly headers: Headers; readonly signal: AbortSignal }) =>
    question.ask(() => fetchDocument(url, { headers: Object.fromEntries(headers), signal, fetch }))
  return createRemoteJWKSet(new URL(uri), { timeoutDuration: milliseconds(timeoutSeconds), [customFetch]: send })
}
