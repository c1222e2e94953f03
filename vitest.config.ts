import { readdirSync } from 'node:fs'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { hasOwnProcess } from './test/own-process.js'

// Frameworks and consumers have packages of their own to install (test:frameworks, test:consumers); real OpenID
// Providers take minutes (test:providers); processes that are killed have to be started again (test:processes), servers
// that die take seconds to be replaced (test:failover), and the bench puts load on the machine (test:bench).
const ELSEWHERE = /^test\/(?:frameworks\/|consumers\/|live-providers\/|processes\/|failover\/|bench\/runs)/

const FILES = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((file) => path.posix.join('test', file))
  .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules') && !ELSEWHERE.test(file))

/** The longest, in this order: begun last, one of them would be waited for by all others. */
const LONGEST = [
  'sessions/session-store-servers',
  'browser/demo',
  'sessions/session-store-matrix',
  'stores/redis/cluster-store',
  'interleavings/interleavings',
  'example/nodes',
].map((name) => `/test/${name}.test.ts`)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(name))
      return found === -1 ? LONGEST.length : found
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    // Only what hangs takes so long, also on a machine that is busy: no test is there to be fast.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One more than there are cores: half of the time of the longest is waiting, for servers, processes and bounds.
    maxWorkers: 3,
    setupFiles: ['test/quiet-warnings.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'alone', include: FILES.filter(hasOwnProcess) } },
      { extends: true, test: { name: 'together', include: FILES.filter((f) => !hasOwnProcess(f)), isolate: false } },
    ],
  },
})
