// How often strangers may cause a fetch of keys: for each client, however often it was forgotten otherwise.
import { expect, it } from 'vitest'
import { LookupBudgets } from '../../src/providers/lookup-budget.js'

it('is one for each client: five at once, and then one in six seconds', () => {
  let time = 1_000
  const budgets = new LookupBudgets(() => time)
  const web = { issuer: 'https://op', clientId: 'web' }
  const taken = () => Array.from({ length: 8 }, () => budgets.of(web).budget.take()).filter(Boolean).length
  expect([taken(), taken()]).toEqual([5, 0])
  time += 12
  expect(taken()).toBe(2)
  expect(budgets.of({ ...web, clientId: 'app' }).budget.take()).toBe(true)
  expect([budgets.of(web).isOld, budgets.of({ ...web, issuer: 'https://other' }).isOld]).toEqual([true, false])
})
