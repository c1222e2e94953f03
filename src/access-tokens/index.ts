// The face of the claims cache: named re-exports, nothing else.
/** @module oidc-backchannel-logout/claims */

export type { ClaimsEvictor, EndedClaims } from '../logout/claims-evictor.js'
export type { ClientAuthentication } from '../providers/client-authentication.js'
export type { TokenHandler, TokenRequest, TokenResponse } from './bearer.js'
export type { Confirm, RouteOptions } from './bearer-route.js'
export type { LookupOptions, MarksStore, Verdict } from './claims-cache.js'
export { type ConfirmDpopOptions, confirmDpop, type DpopRequest } from './confirm-dpop.js'
export {
  type Claims,
  type ClaimsOptions,
  type CustomIntrospection,
  createClaims,
  type Enrich,
} from './create-claims.js'
export { createEvictionClient, type EvictionClient, type EvictionClientOptions } from './eviction-client.js'
export type { EvictionEndpointOptions, EvictionHandler } from './eviction-endpoint.js'
export type { Introspect, IntrospectionOptions } from './introspection.js'
export {
  createJwtCheck,
  type IsRevoked,
  type JwtCheck,
  type JwtCheckOptions,
  type VerifiedClaims,
  type VerifiedJwt,
} from './jwt-check.js'
export { type LoginRecords, withLoginRecords } from './login-records.js'
export type { NoVerdictReason } from './no-verdict.js'
export { createRelay, type Relay, type RelayApi, type RelayOptions } from './relay.js'
export { createRelayReceiver, type RelayReceiver, type RelayReceiverOptions } from './relay-receiver.js'
export type { RequireJwtOptions } from './require-jwt.js'
export type { AccessToken, RequireTokenOptions } from './require-token.js'
export type { SignOnOf } from './sign-on-reader.js'
export type { TokenClaims, TokenSignOn } from './token-claims.js'
