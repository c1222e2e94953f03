// Which test files share a process.
import { expect, it } from 'vitest'
import { hasOwnProcess } from '../own-process.js'
import { files } from './repository.js'

it.each([
  ['one that only computes and compares', 'test/marks/covering.test.ts', false],
  ['one that starts servers', 'test/stores/redis/redis-store.test.ts', true],
  ['one that is given hooks by a module, which runs once in a process', 'test/sign-ons/unbind.test.ts', true],
  ['one that reads the environment', 'test/cli/send.test.ts', true],
])('%s: %s (a process of its own: %s)', (_, file, isAlone) => {
  expect(hasOwnProcess(file)).toBe(isAlone)
})

it('most share one', () => {
  const tests = files.filter((file) => file.endsWith('.test.ts'))
  expect(tests.filter((file) => !hasOwnProcess(file)).length).toBeGreaterThan(80)
})
