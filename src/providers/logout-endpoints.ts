// Where a provider ends its own session and where it revokes tokens, by its metadata: asked when a user logs out, kept
// for an hour.
import { monotonicSeconds } from '../deadline.js'
import { fetchMetadata } from './metadata.js'
import { OneQuestion } from './one-question.js'
import type { Provider } from './provider.js'

const KEPT_SECONDS = 3600
const TIMEOUT_SECONDS = 3

/** `undefined`: the provider has none. */
export interface LogoutEndpoints {
  readonly endSession: string | undefined
  readonly revocation: string | undefined
  /** For clients that are known by their certificate (RFC 8705 5). */
  readonly revocationByCertificate: string | undefined
}

/** Rejects if the provider's metadata cannot be had and were not had within the hour. */
export type EndpointsOf = (provider: Pick<Provider, 'client' | 'fetch'>) => Promise<LogoutEndpoints>

export function logoutEndpoints(monotonic = monotonicSeconds): EndpointsOf {
  const known = new Map<string, { readonly at: number; readonly endpoints: LogoutEndpoints }>()
  const questions = new Map<string, OneQuestion<LogoutEndpoints>>()
  return async ({ client: { issuer }, fetch }) => {
    const before = known.get(issuer)
    if (before !== undefined && monotonic() - before.at < KEPT_SECONDS) return before.endpoints
    // Whoever can open the logout page can cause this.
    const question = questions.get(issuer) ?? new OneQuestion(monotonic)
    questions.set(issuer, question)
    const endpoints = await question.ask(() => endpointsIn(issuer, fetch))
    known.set(issuer, { at: monotonic(), endpoints })
    return endpoints
  }
}

async function endpointsIn(issuer: string, fetch: Provider['fetch']): Promise<LogoutEndpoints> {
  const metadata = await fetchMetadata(issuer, { signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000), fetch })
  // PingFederate has a name of its own for it.
  const endSession: unknown = metadata.end_session_endpoint ?? Reflect.get(metadata, 'ping_end_session_endpoint')
  const revocation = textOr(metadata.revocation_endpoint)
  return {
    endSession: forBrowsers(endSession, issuer),
    revocation,
    revocationByCertificate: textOr(metadata.mtls_endpoint_aliases?.revocation_endpoint) ?? revocation,
  }
}

function forBrowsers(endpoint: unknown, issuer: string): string | undefined {
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return undefined
  // A browser is sent there with an ID Token: never in plain text, but where the issuer itself is.
  const { protocol } = new URL(endpoint)
  return protocol === 'https:' || protocol === new URL(issuer).protocol ? endpoint : undefined
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
