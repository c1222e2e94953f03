import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Frameworks and consumers have packages of their own to install (test:frameworks, test:consumers); real OpenID Providers take
    // minutes (test:providers), and servers that die take seconds to be replaced (test:failover).
    exclude: [
      '**/node_modules/**',
      'test/frameworks/**',
      'test/consumers/**',
      'test/live-providers/**',
      'test/failover/**',
    ],
    // In CI a test that depends on real servers may be tried twice: a machine that stalls is no fault of the code. Which ones were
    // is printed at the end of the run (test/second-tries.ts).
    retry: process.env.CI ? 1 : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more workers than that only wait for each other.
    maxWorkers: 2,
  },
})
