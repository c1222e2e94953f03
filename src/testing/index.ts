// The face of the testing kit: named re-exports, nothing else.
export * from './token-mint.js'
