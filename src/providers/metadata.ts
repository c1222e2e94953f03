// The one discovery: a server's metadata, bounded, and of exactly the issuer that was asked for. Keeps nothing.
import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  discoveryRequest,
  processDiscoveryResponse,
} from 'oauth4webapi'
import { type Fetch, fetchDocument } from '../http/fetched-documents.js'

export interface MetadataRequest {
  /** `oidc` (default): OpenID Connect Discovery 4. `oauth2`: RFC 8414. */
  readonly kind?: 'oidc' | 'oauth2' | undefined
  readonly signal: AbortSignal
  readonly fetch?: Fetch | undefined
}

/** What was fetched is no metadata, or is that of another issuer. */
export class InvalidMetadataError extends Error {}

/**
 * The metadata of an issuer whose URL was checked before. Rejects with `InvalidMetadataError`, or with whatever kept
 * the document from being fetched.
 */
export async function fetchMetadata(
  issuer: string,
  { kind = 'oidc', signal, fetch }: MetadataRequest,
): Promise<AuthorizationServer> {
  const url = new URL(issuer)
  const send = (document: string, { headers }: { readonly headers: Record<string, string> }) =>
    fetchDocument(document, { headers, signal, fetch })
  // Whether the issuer may be plain http was decided when the options were read.
  const http = { [allowInsecureRequests]: true, [customFetch]: send }
  const response = await discoveryRequest(url, { algorithm: kind, signal, ...http })
  try {
    const metadata = await processDiscoveryResponse(url, response)
    // The library compares parsed URLs; an issuer is a string, and a slash more is another one (Discovery 4.3).
    if (metadata.issuer !== issuer) throw new Error('The metadata is of another issuer')
    return metadata
  } catch (cause) {
    throw new InvalidMetadataError('The metadata is not usable', { cause })
  }
}
