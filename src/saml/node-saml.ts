// What is asked of node-saml, which verifies, writes and signs. It is handed in, so nothing of it is imported; what it
// does otherwise here, it does so in an object that inherits from it.
import type { SamlNameId } from './name-id.js'

/**
 * An instance of `SAML` of `@node-saml/node-saml`, made with the options that the application or passport-saml signs in
 * with: one for each identity provider.
 */
export interface NodeSaml {
  readonly options: {
    /** Our entity id. */
    readonly issuer: string
    /** The identity provider's entity id. */
    readonly idpIssuer?: string | undefined
    /** Its certificates, or a callback that fetches them. */
    readonly idpCert?: unknown
    readonly entryPoint?: string | undefined
    /** Where the identity provider takes LogoutRequests. */
    readonly logoutUrl?: string | undefined
    /** Parameters of every address that it writes. */
    readonly additionalParams?: Readonly<Record<string, unknown>> | undefined
    readonly additionalLogoutParams?: Readonly<Record<string, unknown>> | undefined
    readonly privateKey?: string | Buffer | undefined
    readonly signatureAlgorithm?: string | undefined
    readonly generateUniqueId: () => string
  }
  validateRedirectAsync(container: Record<string, string>, originalQuery: string): Promise<unknown>
  validatePostRequestAsync(container: Record<string, string>): Promise<unknown>
  getLogoutUrlAsync(user: NodeSamlUser, relayState: string, options: object): Promise<string>
  getLogoutResponseUrlAsync(
    request: { readonly ID?: string },
    relayState: string,
    options: object,
    success: boolean,
  ): Promise<string>
}

/** Whom a LogoutRequest of ours names. */
export interface NodeSamlUser extends Omit<SamlNameId, 'spProvidedID'> {
  readonly sessionIndex?: string | undefined
}

/** node-saml leaves these to whoever extends it; the types of an instance do not show them. */
const EXTENDED = [
  'getKeyInfosAsPem',
  'hasValidSignatureForRedirect',
  'processValidlySignedPostRequestAsync',
  'processValidlySignedSamlLogoutAsync',
  'signRequest',
  'verifyLogoutResponse',
  '_generateLogoutResponse',
] as const

type Extended = (typeof EXTENDED)[number]

/** Whether it can be extended as it is here. */
export function isNodeSaml(saml: unknown): saml is NodeSaml {
  if (typeof saml !== 'object' || saml === null || typeof Reflect.get(saml, 'options') !== 'object') return false
  const needed = [...EXTENDED, 'validateRedirectAsync', 'validatePostRequestAsync', 'getLogoutResponseUrlAsync']
  return needed.every((name) => typeof Reflect.get(saml, name) === 'function')
}

/** The same instance, but for what is given. */
export function extended(saml: NodeSaml, otherwise: Readonly<Record<string, unknown>>): NodeSaml {
  return Object.create(saml, Object.getOwnPropertyDescriptors(otherwise))
}

/** Its own method, by its own code, on an object that inherits from it. */
export function asNodeSaml(saml: NodeSaml, on: NodeSaml, method: Extended, ...given: readonly unknown[]): unknown {
  return Reflect.apply(Reflect.get(saml, method), on, given)
}
