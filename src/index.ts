// The face: named re-exports, nothing else.
export {
  type BackchannelLogout,
  createBackchannelLogout,
  type IdTokenClaims,
  type TerminateOptions,
} from './backchannel-logout.js'
export { BackchannelLogoutError, type ErrorCode, NoVerdictError } from './errors.js'
export type { BackchannelLogoutEvent, EventListener, LogoutReason } from './events.js'
export type { LoginTokens } from './login.js'
export type { EndedSessions, LogoutResult } from './logout/engine.js'
export type { StatelessSignOn } from './logout/sign-ons.js'
export { covers, type Mark, mergeMarks, type SignOn } from './marks/covering.js'
export type { Client, LogoutTarget, TargetKey } from './marks/target.js'
export type { BackchannelLogoutOptions } from './options.js'
export { type ExpressSessionStore, type ExpressSessionsOptions, expressSessions } from './sessions/express-session.js'
export type { LocalSession, SessionBackend, SessionGuard } from './sessions/session-backend.js'
export type { GuardOptions } from './sessions/stateless-guard.js'
export type {
  BeginLogout,
  BegunLogout,
  Binding,
  CompleteLogout,
  JtiKey,
  LogoutStore,
  NewBinding,
  SessionState,
} from './stores/logout-store.js'
export { type MemoryStoreOptions, memoryStore } from './stores/memory-store.js'
export type { KeysUnavailable } from './token/keys-unavailable.js'
export { type PresetName, preset } from './token/presets.js'
export type { DecryptionOptions, ProviderOptions } from './token/provider.js'
export type { ProviderSource } from './token/provider-directory.js'
export type { TokenRefusal } from './token/token-refusal.js'
