import { expect, it } from 'vitest'
import { queryOf } from '../../src/http/query.js'

it.each([
  ['/logged-out?state=a%20b', { state: 'a b' }],
  ['//?state=a', { state: 'a' }],
  ['http://[?state=a', { state: 'a' }],
  ['*', {}],
  ['', {}],
  [undefined, {}],
  ['/?state=a?b', { state: 'a?b' }],
  ['/?state=%E0%A4%A', { state: '\uFFFD%A' }],
])('the query of %s', (target, parameters) => {
  expect(Object.fromEntries(queryOf(target))).toEqual(parameters)
})
