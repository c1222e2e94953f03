// The face of the testing kit: named re-exports, nothing else.

export * from './fake-op.js'
export * from './logout-store/contract.js'
export * from './session-store-suite.js'
export * from './token-mint.js'
