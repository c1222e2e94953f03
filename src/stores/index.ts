// The face of `oidc-backchannel-logout/store`, for authors of a logout store: the port, its rule and its words. Named
// re-exports only.
/** @module oidc-backchannel-logout/store */
export { covers, type Mark, type SignOn, withMark } from '../marks/covering.js'
export type { TargetKey } from '../marks/target.js'
export type { LogPage, LogStore } from './log-store.js'
export type {
  BeginLogout,
  BegunLogout,
  Binding,
  CompleteLogout,
  JtiKey,
  LocallyEnded,
  LogoutStore,
  NewBinding,
  SessionState,
} from './logout-store.js'
