// The face: named re-exports, nothing else.
/** @module oidc-backchannel-logout */
export { createBackchannelLogout } from './backchannel-logout.js'
export { type ErrorCode, type ErrorDetails, LogoutError, type LogoutErrorJson, NoVerdictError } from './errors.js'
export type { EventListener, LogoutEvent, LogoutReason, LogoutStep, StepTaken } from './events.js'
export type { Fetch, FetchInit } from './http/fetched-documents.js'
export type { ApplicationListener, ListenerOptions } from './http/listener.js'
export type { NodeHandler } from './http/node.js'
export type { WebHandler } from './http/web.js'
export type { BoundsOptions, LogoutBounds, ProviderBounds } from './logout/bounds.js'
export type { Health, KeysHealth } from './logout/health.js'
export type { LoggedOut, OnLogout } from './logout/logged-out.js'
export type { EndedSessions, LogoutResult } from './logout/logout-order.js'
export type { OrderingMessage } from './logout/ordering-message.js'
export type {
  BackchannelLogout,
  IdTokenClaims,
  ListSessionsOptions,
  SessionsOfTarget,
  TerminateOptions,
} from './logout-methods.js'
export type { Client, LogoutTarget } from './marks/target.js'
export type { BackchannelLogoutOptions } from './options.js'
export {
  createLogoutBroker,
  type DownstreamSession,
  type Hop,
  type HopOutcome,
  type LogoutBroker,
  type LogoutBrokerOptions,
} from './outbound/broker.js'
export type {
  EndSessionDeparture,
  EndSessionOptions,
  EndSessionRecord,
  EndSessionReturn,
  EndSessionStart,
  LogoutScope,
  RecordedTokens,
} from './outbound/end-session.js'
export type {
  EndSessionHandler,
  EndSessionRouteOptions,
  SessionCookie,
} from './outbound/end-session-route.js'
export type { DeliveryOutcome, LogoutDelivery } from './outbound/logout-delivery.js'
export {
  createLogoutTokenSender,
  type LogoutTokenSender,
  type LogoutTokenSenderOptions,
  type OutgoingLogout,
} from './outbound/logout-token-sender.js'
export type { ProviderLogout } from './outbound/pending-logouts.js'
export {
  createRevalidation,
  type Revalidation,
  type RevalidationOptions,
  type RevalidationVerdict,
  type SilentAnswer,
} from './outbound/revalidation.js'
export {
  byIntrospection,
  byRefreshToken,
  byUserInfo,
  type RevalidationFinding,
  type RevalidationQuestion,
  type RevalidationQuestionOptions,
  type RevalidationTokens,
} from './outbound/revalidation-questions.js'
export { memoryRevalidationStates, type RevalidationStates } from './outbound/revalidation-states.js'
export type { RevocationOutcome, TokensRevoked, TokensToRevoke } from './outbound/revoke-tokens.js'
export type {
  LogoutRouteOptions,
  RpInitiatedLogout,
} from './outbound/rp-initiated-logout.js'
export type { ClientAuthentication } from './providers/client-authentication.js'
export type { ProviderSource } from './providers/directory.js'
export type {
  EndSessionDialect,
  EndSessionRequest,
} from './providers/end-session-dialect.js'
export { type EndSessionPresetName, endSessionPreset } from './providers/end-session-presets.js'
export type { KeysUnavailable } from './providers/keys-unavailable.js'
export type {
  LogoutEnds,
  LogoutPolicy,
  LogoutTokenEnds,
  RefreshTokenPolicy,
} from './providers/logout-policy.js'
export { type PresetName, preset } from './providers/presets.js'
export type { DecryptionOptions, ProviderOptions } from './providers/provider-options.js'
export type {
  FrontchannelHandler,
  FrontchannelReceiverOptions,
} from './receivers/frontchannel.js'
export {
  type ExpressSessionStore,
  type ExpressSessionsOptions,
  expressSessions,
  type SessionRequest,
} from './sessions/express-session.js'
export type {
  JudgedSession,
  LocalSession,
  SessionBackend,
  SessionGuard,
  SessionLimits,
  SessionVerdict,
  SignOnNames,
} from './sessions/session-backend.js'
export type { ConnectHandler, GuardOptions } from './sessions/stateless-guard.js'
export type { AboutLogin, LoginTokens } from './sign-ons/login.js'
export type { ListedSession, SessionPage } from './sign-ons/session-list.js'
export type { StatelessSignOn } from './sign-ons/stateless.js'
export { type BoundedReads, type BoundedReadsOptions, boundedReads } from './stores/bounded-reads.js'
export type { LogoutStore } from './stores/logout-store.js'
export { type MemoryStoreOptions, memoryStore } from './stores/memory-store.js'
export type { TokenRefusal } from './tokens/token-refusal.js'
