import { defineConfig } from 'vitest/config'

/** Run by `npm run test:failover`, apart from `npm test`: servers take seconds to notice that one of them has died. */
export default defineConfig({
  test: {
    include: ['test/failover/**/*.test.ts'],
    // One group of servers at a time: elections are timed, and two cores are few for ten servers.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
