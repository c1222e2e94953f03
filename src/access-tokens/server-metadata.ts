// Where an authorization server is asked: given by options, or discovered and kept for as long as it serves. Knows no token.
import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  type DiscoveryRequestOptions,
  discoveryRequest,
  type IntrospectionRequestOptions,
  processDiscoveryResponse,
} from 'oauth4webapi'
import { noVerdict } from './no-verdict.js'

/** How requests are sent. */
export interface Http {
  readonly signal: AbortSignal
  readonly [allowInsecureRequests]: boolean
  readonly [customFetch]: NonNullable<DiscoveryRequestOptions[typeof customFetch]> &
    NonNullable<IntrospectionRequestOptions[typeof customFetch]>
}

/** The global `fetch`, or one like it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export function transport(send: Fetch = fetch, insecure = false): Omit<Http, 'signal'> {
  return {
    [allowInsecureRequests]: insecure,
    [customFetch]: (url, { body, signal, ...init }) =>
      send(url, { ...init, body: body ?? null, signal: signal ?? null }),
  }
}

export interface MetadataOptions {
  readonly issuer: string
  readonly discovery?: 'oidc' | 'oauth2' | undefined
  /** What is known without discovery; it wins over what is discovered. */
  readonly given: Partial<AuthorizationServer>
  /** What must be known before the server can be asked. */
  readonly needed: readonly ('introspection_endpoint' | 'jwks_uri')[]
  readonly clock: () => number
}

export interface ServerMetadata {
  /** Rejects where they cannot be had; the next call tries again. */
  get(http: Http): Promise<AuthorizationServer>
  /** A question failed: if what is known is not of just now, it is discovered anew for the next one. */
  doubt(): void
}

/** A server that moves its endpoints is found again within this time; one that is down is not asked for its metadata each time. */
const DOUBTED_AFTER_SECONDS = 60

export function serverMetadata({ issuer, discovery, given, needed, clock }: MetadataOptions): ServerMetadata {
  const known = { issuer, ...given }
  if (needed.every((member) => given[member] !== undefined)) return { get: () => Promise.resolve(known), doubt() {} }
  let discovered: { readonly at: number; readonly metadata: Promise<AuthorizationServer> } | undefined
  const discover = async (http: Http): Promise<AuthorizationServer> => {
    const url = new URL(issuer)
    const response = await discoveryRequest(url, { ...http, algorithm: discovery ?? 'oidc' })
    const metadata = { ...(await processDiscoveryResponse(url, response)), ...given }
    // Issuers are compared as strings (OpenID Connect Discovery 4.3); marks are keyed by this one.
    if (metadata.issuer !== issuer) throw noVerdict('answer_malformed')
    if (needed.some((member) => metadata[member] === undefined)) throw noVerdict('metadata_incomplete')
    return metadata
  }
  return {
    get(http) {
      if (discovered === undefined) {
        const metadata = discover(http)
        const mine = { at: clock(), metadata }
        discovered = mine
        metadata.catch(() => {
          if (discovered === mine) discovered = undefined
        })
      }
      return discovered.metadata
    },
    doubt() {
      if (discovered !== undefined && Math.abs(clock() - discovered.at) >= DOUBTED_AFTER_SECONDS) discovered = undefined
    },
  }
}
