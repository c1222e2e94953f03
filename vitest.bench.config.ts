import { defineConfig } from 'vitest/config'

/** Run by `npm run test:bench`, apart from `npm test`: the bench puts load on two cores for most of a minute. */
export default defineConfig({
  test: { include: ['test/bench/runs.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
})
