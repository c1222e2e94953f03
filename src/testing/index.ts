// The face of the testing kit: named re-exports, nothing else.
/** @module oidc-backchannel-logout/testing */

export type { LogoutTrialOptions } from './application-on-trial.js'
export * from './assert-logout-works.js'
export { createTestBrowser, type TestBrowser, type TestPage } from './browser.js'
export { DEFECTS, type Defect, type DefectRule, type ValidToken } from './defects.js'
export * from './delivery.js'
export type { Behaviour } from './fake-endpoint.js'
export type { IdTokenMaker, LoginStep, OpSession } from './fake-login.js'
export {
  createFakeOp,
  type Endpoint,
  type FakeOp,
  type FakeOpOptions,
  type LogOutOptions,
  type LogoutDelivery,
  type OpenBrowserOptions,
  type SignedInBrowser,
} from './fake-op.js'
export * from './logout-store/contract.js'
export { type MintAlgorithm, type MintKeys, mintKeys } from './mint-keys.js'
export { PROVIDER_SHAPES, type ProviderShape } from './provider-shapes.js'
export {
  SESSION_CONFIGURATIONS,
  SESSION_OPERATIONS,
  type SessionConfiguration,
  type SessionOperation,
} from './session-requests.js'
export * from './session-store-suite.js'
export type { Change, Encryption, Signer } from './token-change.js'
export { BACKCHANNEL_LOGOUT_EVENT } from './token-change.js'
export * from './token-mint.js'
