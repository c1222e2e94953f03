// How each known OpenID Provider wants to be asked to end its own session. Data only; applied by spreading.
import type { EndSessionDialect } from './end-session-dialect.js'

const DIALECTS = {
  keycloak: {},
  /** With its `sid` as `logout_hint` it asks nobody to confirm, also where the ID Token is gone. */
  auth0: { logoutHintClaim: 'sid', upstreamParameter: 'federated' },
  /** A tenant without `end_session_endpoint`. Add `endpoint`: `https://TENANT/v2/logout`. */
  'auth0-v2': { kind: 'auth0-v2', upstreamParameter: 'federated' },
  okta: {},
  /**
   * Refuses long URLs (AADSTS90015), which users in many groups have. Its ID Tokens need the optional claim
   * `login_hint`.
   */
  'entra-id': { maxUrlLength: 2000, tooLong: 'logout-hint', logoutHintClaim: 'login_hint' },
  /** Add `endpoint`: `https://DOMAIN/logout`. It never logs out of an identity provider behind it. */
  cognito: { kind: 'cognito' },
  /** Refuses an expired hint, and takes `client_id` alone. */
  pingone: { expiredHint: 'drop' },
  pingfederate: {},
  /** Its web server answers long URLs 404 or 414; a form it takes. */
  duende: {},
  'ory-hydra': {},
  zitadel: {},
  authentik: {},
  logto: {},
  /** 1.60 and later refuses an expired hint, and takes `client_id` alone. */
  fusionauth: { expiredHint: 'drop' },
  /** Its `revocation_endpoint` is no end-session endpoint. */
  gitlab: { kind: 'none' },
  salesforce: {},
  'sap-ias': {},
  /** `https://accounts.google.com/logout` signs out every account of the browser: never use it. */
  google: { kind: 'none' },
  apple: { kind: 'none' },
  'id-porten': {},
  /** `logout_hint` is by a rule of the deployment. */
  shibboleth: {},
  connect2id: {},
  authelia: { kind: 'none' },
  'login-gov': {},
  'oidc-provider': {},
  'lemonldap-ng': {},
  'open-liberty': {},
  'better-auth': {},
  idpyoidc: {},
  glewlwyd: {},
} as const satisfies Record<string, EndSessionDialect>

/** The name of a provider whose logout is known. */
export type EndSessionPresetName = keyof typeof DIALECTS

const dialects: ReadonlyMap<string, EndSessionDialect> = new Map(
  Object.entries(DIALECTS).map(([name, dialect]) => [name, Object.freeze(dialect)]),
)

/**
 * The option `endSession` of a known provider: `{ issuer, clientId, endSession: endSessionPreset('entra-id') }`.
 * Frozen. Where the comment of one asks for an `endpoint`, spread it: `{ ...endSessionPreset('cognito'), endpoint }`.
 *
 * @throws TypeError for unknown names
 */
export function endSessionPreset(name: EndSessionPresetName): EndSessionDialect {
  const found = dialects.get(name)
  if (found !== undefined) return found
  throw new TypeError(`endSessionPreset: there is none of that name; it has ${[...dialects.keys()].join(', ')}`)
}
