// Where an authorization server is asked: given by options, or discovered and kept for as long as it serves. Knows no
// token.
import type { AuthorizationServer } from 'oauth4webapi'
import { milliseconds } from '../deadline.js'
import type { Fetch } from '../http/fetched-documents.js'
import { isSafeUrlOf } from '../http/safe-url.js'
import { fetchMetadata } from '../providers/metadata.js'
import { handled, OneQuestion } from '../providers/one-question.js'
import { noVerdict } from './no-verdict.js'

export interface MetadataOptions {
  readonly issuer: string
  readonly discovery?: 'oidc' | 'oauth2' | undefined
  readonly fetch?: Fetch | undefined
  /** What is known without discovery; it wins over what is discovered. */
  readonly given: Partial<AuthorizationServer>
  /** What must be known before the server can be asked. */
  readonly needed: readonly ('introspection_endpoint' | 'jwks_uri')[]
  /** Takes plain `http` from the metadata of an issuer that is `https`. */
  readonly dangerouslyAllowHttp?: boolean | undefined
  /** Deadline of a discovery that nobody's question waits for. */
  readonly timeoutSeconds: number
  /** Seconds that only go forward. */
  readonly monotonic: () => number
}

export interface ServerMetadata {
  /**
   * What is known, at once. Where nothing is, it rejects if they cannot be had; a call after a second tries again,
   * later after each further failure.
   */
  get(signal: AbortSignal): Promise<AuthorizationServer>
  /**
   * A question failed: if what is known is not of just now, it is discovered anew, and kept until that succeeds.
   * Resolves when that was tried; never rejects.
   */
  doubt(): Promise<void>
}

/**
 * A server that moves its endpoints is found again within this time; one that is down is not asked for its metadata
 * each time.
 */
const DOUBTED_AFTER_SECONDS = 60

export function serverMetadata(options: MetadataOptions): ServerMetadata {
  const { issuer, discovery, fetch, given, needed, dangerouslyAllowHttp = false, timeoutSeconds, monotonic } = options
  const known = { issuer, ...given }
  if (needed.every((member) => given[member] !== undefined)) return { get: async () => known, doubt: async () => {} }
  let discovered: { readonly at: number; readonly metadata: AuthorizationServer } | undefined
  let isDoubted = false
  // Whoever sends a token of any kind can cause it.
  const question = new OneQuestion<AuthorizationServer>(monotonic)
  const discover = async (signal: AbortSignal): Promise<AuthorizationServer> => {
    const at = monotonic()
    const found = await fetchMetadata(issuer, { kind: discovery, signal, fetch })
    const metadata = { ...withoutUnsafe(found, dangerouslyAllowHttp), ...given }
    if (needed.some((member) => metadata[member] === undefined)) throw noVerdict('metadata_incomplete')
    discovered = { at, metadata }
    isDoubted = false
    return metadata
  }
  /** Nobody's question is kept waiting by it: what is known has served until now. */
  const discoverAnew = () => question.ask(() => discover(AbortSignal.timeout(milliseconds(timeoutSeconds))))
  return {
    async get(signal) {
      if (discovered === undefined) return question.ask(() => discover(signal))
      if (isDoubted) handled(discoverAnew())
      return discovered.metadata
    },
    async doubt() {
      if (discovered === undefined) return
      isDoubted ||= Math.abs(monotonic() - discovered.at) >= DOUBTED_AFTER_SECONDS
      if (isDoubted) await discoverAnew().catch(() => {})
    },
  }
}

/** An endpoint that must not be called is as if it were not named. */
function withoutUnsafe(metadata: AuthorizationServer, dangerouslyAllowHttp: boolean): AuthorizationServer {
  const { introspection_endpoint, jwks_uri, mtls_endpoint_aliases: aliases, ...rest } = metadata
  const isSafe = (url: unknown) => isSafeUrlOf(metadata.issuer, url, dangerouslyAllowHttp)
  return {
    ...rest,
    ...(isSafe(introspection_endpoint) && { introspection_endpoint }),
    ...(isSafe(jwks_uri) && { jwks_uri }),
    // RFC 8705 5: without an alias, the endpoint itself.
    ...(isSafe(aliases?.introspection_endpoint) && { mtls_endpoint_aliases: aliases }),
  }
}
