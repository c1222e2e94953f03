// Where a provider ends its own session and where it revokes tokens, by its metadata: asked when a user logs out, kept
// for an hour.
import { monotonicSeconds, timeoutOr } from '../deadline.js'
import { isSafeUrlOf } from '../http/safe-url.js'
import { fetchMetadata } from './metadata.js'
import { OneQuestion } from './one-question.js'
import type { Provider } from './provider.js'

const KEPT_SECONDS = 3600
const TIMEOUT_SECONDS = 3

/** `undefined`: the provider has none. What it names is safe where nothing else is said. */
export interface LogoutEndpoints {
  readonly endSession: string | undefined
  /** Whoever sends to it looks whether it is safe, and says so if it is not. */
  readonly revocation: string | undefined
  /** The same, for clients that are known by their certificate (RFC 8705 5). */
  readonly revocationByCertificate: string | undefined
}

/**
 * Rejects if the provider's metadata cannot be had and were not had within the hour. `closing`: who asks does not wait
 * from then on.
 */
export type EndpointsOf = (
  provider: Pick<Provider, 'client' | 'fetch' | 'dangerouslyAllowHttp'>,
  closing?: AbortSignal,
) => Promise<LogoutEndpoints>

export function logoutEndpoints(monotonic = monotonicSeconds): EndpointsOf {
  const known = new Map<string, { readonly at: number; readonly endpoints: LogoutEndpoints }>()
  const questions = new Map<string, OneQuestion<LogoutEndpoints>>()
  const named = async ({ client: { issuer }, fetch }: Pick<Provider, 'client' | 'fetch'>, closing?: AbortSignal) => {
    const before = known.get(issuer)
    if (before !== undefined && monotonic() - before.at < KEPT_SECONDS) return before.endpoints
    // Whoever can open the logout page can cause this.
    const question = questions.get(issuer) ?? new OneQuestion(monotonic)
    questions.set(issuer, question)
    const endpoints = await question.ask((givenUp) => endpointsIn(issuer, fetch, givenUp), closing)
    known.set(issuer, { at: monotonic(), endpoints })
    return endpoints
  }
  return async (provider, closing) => {
    const { endSession, ...endpoints } = await named(provider, closing)
    // A browser is sent there with an ID Token.
    const isSafe = isSafeUrlOf(provider.client.issuer, endSession, provider.dangerouslyAllowHttp)
    return { ...endpoints, endSession: isSafe ? endSession : undefined }
  }
}

async function endpointsIn(issuer: string, fetch: Provider['fetch'], givenUp: AbortSignal): Promise<LogoutEndpoints> {
  const signal = timeoutOr(TIMEOUT_SECONDS, givenUp)
  const metadata = await fetchMetadata(issuer, { signal, fetch })
  // PingFederate has a name of its own for it.
  const endSession: unknown = metadata.end_session_endpoint ?? Reflect.get(metadata, 'ping_end_session_endpoint')
  const revocation = textOr(metadata.revocation_endpoint)
  return {
    endSession: textOr(endSession),
    revocation,
    revocationByCertificate: textOr(metadata.mtls_endpoint_aliases?.revocation_endpoint) ?? revocation,
  }
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
