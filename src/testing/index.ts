// The face of the testing kit: named re-exports, nothing else.

export * from './assert-logout-works.js'
export * from './browser.js'
export * from './delivery.js'
export type { Behaviour } from './fake-endpoint.js'
export type { IdTokenMaker, LoginStep, OpSession } from './fake-login.js'
export * from './fake-op.js'
export * from './logout-store/contract.js'
export { PROVIDER_SHAPES, type ProviderShape } from './provider-shapes.js'
export * from './session-store-suite.js'
export * from './token-mint.js'
