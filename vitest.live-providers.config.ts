import { defineConfig, type Plugin } from 'vitest/config'
import { plantedIn } from './test/live-providers/planted.js'

const { PLANTED } = process.env

/** `npm run providers:planted` asks for a fault in the package that the tests import. */
const planting: Plugin[] = PLANTED
  ? [{ name: 'planted fault', enforce: 'pre', transform: (code, id) => plantedIn(PLANTED, id, code) }]
  : []

/**
 * Run by `npm run test:providers`, apart from `npm test`: real OpenID Providers take minutes, and some of them a JVM.
 */
export default defineConfig({
  plugins: planting,
  test: {
    include: ['test/live-providers/**/*.test.ts'],
    // One provider at a time: two JVMs on two cores only wait for each other.
    fileParallelism: false,
    // What a provider did once it may do again: nothing is tried twice.
    retry: 0,
    testTimeout: 60_000,
    // A first run downloads and unpacks, and Hydra is compiled.
    hookTimeout: 900_000,
  },
})
