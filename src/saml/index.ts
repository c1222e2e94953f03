// The face of SAML 2.0 Single Logout: named re-exports, nothing else.
/** @module oidc-backchannel-logout/saml */

export {
  createSamlLogout,
  type SamlLogout,
  type SamlLogoutDeparture,
  type SamlLogoutOptions,
  type SamlLogoutRouteOptions,
  samlProvider,
} from './create-saml-logout.js'
export type { SamlLoginClaims, SamlProfile } from './login-claims.js'
export type { SamlNameId } from './name-id.js'
export type { NodeSaml, NodeSamlUser } from './node-saml.js'
export type { SamlLoginRecord } from './open-requests.js'
export type { SamlLogoutOutcome } from './single-logout-service.js'
