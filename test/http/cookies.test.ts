import { expect, it } from 'vitest'
import { cookieValues } from '../../src/http/cookies.js'

it.each([
  ['a=1; b=2', 'b', ['2']],
  ['ab=1; b=2', 'b', ['2']],
  [' b = 2 ;a=1', 'b', ['2']],
  ['b=1; b=2', 'b', ['1', '2']],
  ['b', 'b', []],
  ['b=', 'b', ['']],
  ['', 'b', []],
  [undefined, 'b', []],
])('of %j the values of %s are %j', (header, name, values) => {
  expect(cookieValues(header, name)).toEqual(values)
})
