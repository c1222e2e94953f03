// Which test files share a process.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { hasOwnProcess } from '../own-process.js'
import { files } from './repository.js'

it.each([
  ['one that only computes and compares', 'test/marks/covering.test.ts', false],
  ['one that starts servers, and stops them', 'test/stores/redis/redis-store.test.ts', false],
  ['one that puts the clock back', 'test/stores/bounded-reads.test.ts', false],
  ['one that replaces a module', 'test/cli/send.test.ts', true],
  ['one that measures its process', 'test/access-tokens/memory.test.ts', true],
  ['one that computes for long', 'test/interleavings/interleavings.test.ts', true],
])('%s: %s (a process of its own: %s)', (_, file, isAlone) => {
  expect(hasOwnProcess(file)).toBe(isAlone)
})

it('most share one', () => {
  const tests = files.filter((file) => file.endsWith('.test.ts'))
  expect(tests.filter((file) => !hasOwnProcess(file)).length).toBeGreaterThan(150)
})

it('no module that several test files import sets hooks where it is imported: it is run once in a process', () => {
  const helpers = files.filter((file) => /^test\/.*(?<!\.test)\.ts$/.test(file))
  expect(helpers.filter((file) => /^(?:before|after)(?:Each|All)\(/m.test(readFileSync(file, 'utf8')))).toEqual([])
})
