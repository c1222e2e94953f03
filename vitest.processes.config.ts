import { defineConfig } from 'vitest/config'

/** Run by `npm run test:processes`, apart from `npm test`: four processes at a time, killed and started again. */
export default defineConfig({
  test: { include: ['test/processes/**/*.test.ts'], maxWorkers: 2, testTimeout: 120_000, hookTimeout: 120_000 },
})
