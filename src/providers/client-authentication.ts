// How this client, or this API, proves to a server who it is. Asks nothing.
import type { webcrypto } from 'node:crypto'
import { type ClientAuth, ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, TlsClientAuth } from 'oauth4webapi'

/** How a client proves to the authorization server who it is. */
export type ClientAuthentication =
  | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly clientSecret: string }
  | { readonly method: 'private_key_jwt'; readonly privateKey: webcrypto.CryptoKey; readonly keyId?: string }
  /**
   * By the certificate of the connection (RFC 8705 2): `fetch` must present it. `mtls_endpoint_aliases` of the metadata
   * are used.
   */
  | { readonly method: 'tls_client_auth' | 'self_signed_tls_client_auth' }
  /** Any other method, as a `ClientAuth` of oauth4webapi: `None()` for a public client. */
  | ClientAuth

/** @throws TypeError for a method that there is not; the message begins with the option's name */
export function clientAuth(authentication: ClientAuthentication, option: string): ClientAuth {
  if (typeof authentication === 'function') return authentication
  switch (authentication.method) {
    case 'client_secret_basic':
      return ClientSecretBasic(authentication.clientSecret)
    case 'client_secret_post':
      return ClientSecretPost(authentication.clientSecret)
    case 'private_key_jwt': {
      const { privateKey: key, keyId: kid } = authentication
      return PrivateKeyJwt(kid === undefined ? { key } : { key, kid })
    }
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return TlsClientAuth()
    default:
      throw new TypeError(
        `${option}.method must be client_secret_basic, client_secret_post, private_key_jwt, ` +
          'tls_client_auth or self_signed_tls_client_auth',
      )
  }
}

/** Whether the client is known by the certificate of its connection (RFC 8705). */
export function isByCertificate(authentication: ClientAuthentication): boolean {
  return 'method' in authentication && authentication.method.endsWith('tls_client_auth')
}
