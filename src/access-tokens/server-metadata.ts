// Where an authorization server is asked: given by options, or discovered and kept for as long as it serves. Knows no
// token.
import type { AuthorizationServer } from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { fetchMetadata } from '../providers/metadata.js'
import { OneQuestion } from '../providers/one-question.js'
import { noVerdict } from './no-verdict.js'

export interface MetadataOptions {
  readonly issuer: string
  readonly discovery?: 'oidc' | 'oauth2' | undefined
  readonly fetch?: Fetch | undefined
  /** What is known without discovery; it wins over what is discovered. */
  readonly given: Partial<AuthorizationServer>
  /** What must be known before the server can be asked. */
  readonly needed: readonly ('introspection_endpoint' | 'jwks_uri')[]
  readonly clock: () => number
}

export interface ServerMetadata {
  /** Rejects where they cannot be had; a call after a second tries again, later after each further failure. */
  get(signal: AbortSignal): Promise<AuthorizationServer>
  /** A question failed: if what is known is not of just now, it is discovered anew for the next one. */
  doubt(): void
}

/**
 * A server that moves its endpoints is found again within this time; one that is down is not asked for its metadata
 * each time.
 */
const DOUBTED_AFTER_SECONDS = 60

export function serverMetadata({ issuer, discovery, fetch, given, needed, clock }: MetadataOptions): ServerMetadata {
  const known = { issuer, ...given }
  if (needed.every((member) => given[member] !== undefined)) return { get: () => Promise.resolve(known), doubt() {} }
  let discovered: { readonly at: number; readonly metadata: AuthorizationServer } | undefined
  // Whoever sends a token of any kind can cause it.
  const question = new OneQuestion<AuthorizationServer>(clock)
  const discover = async (signal: AbortSignal): Promise<AuthorizationServer> => {
    const metadata = { ...(await fetchMetadata(issuer, { kind: discovery, signal, fetch })), ...given }
    if (needed.some((member) => metadata[member] === undefined)) throw noVerdict('metadata_incomplete')
    return metadata
  }
  return {
    async get(signal) {
      if (discovered !== undefined) return discovered.metadata
      const at = clock()
      const metadata = await question.ask(() => discover(signal))
      discovered ??= { at, metadata }
      return metadata
    },
    doubt() {
      if (discovered !== undefined && Math.abs(clock() - discovered.at) >= DOUBTED_AFTER_SECONDS) discovered = undefined
    },
  }
}
