// Where a provider ends its own session, by its metadata: asked when a user logs out, and kept for an hour.
import { fetchMetadata } from './metadata.js'
import type { Provider } from './provider.js'

const KEPT_SECONDS = 3600
const TIMEOUT_SECONDS = 3

/** `undefined`: the provider has none. Rejects if its metadata cannot be had and were not had within the hour. */
export type EndSessionEndpoint = (provider: Pick<Provider, 'client' | 'fetch'>) => Promise<string | undefined>

export function endSessionEndpoints(clock: () => number): EndSessionEndpoint {
  const known = new Map<string, { readonly at: number; readonly endpoint: string | undefined }>()
  return async ({ client: { issuer }, fetch }) => {
    const before = known.get(issuer)
    if (before !== undefined && Math.abs(clock() - before.at) < KEPT_SECONDS) return before.endpoint
    const endpoint = await endpointIn(issuer, fetch)
    known.set(issuer, { at: clock(), endpoint })
    return endpoint
  }
}

async function endpointIn(issuer: string, fetch: Provider['fetch']): Promise<string | undefined> {
  const metadata = await fetchMetadata(issuer, { signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000), fetch })
  // PingFederate has a name of its own for it.
  const endpoint: unknown = metadata.end_session_endpoint ?? Reflect.get(metadata, 'ping_end_session_endpoint')
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return undefined
  // A browser is sent there with an ID Token: never in plain text, but where the issuer itself is.
  const { protocol } = new URL(endpoint)
  return protocol === 'https:' || protocol === new URL(issuer).protocol ? endpoint : undefined
}
