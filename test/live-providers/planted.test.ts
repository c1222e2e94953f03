// The planted faults: none is missing, each still fits the code, and each has made a scenario fail.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { preset } from 'oidc-backchannel-logout'
import { expect, it } from 'vitest'
import { DIST, FAULTS, plantedIn } from './planted.js'
import type { Seen } from './seen.js'

const read = <T>(name: string): T => JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8'))

it('each option of each preset that is tried has its fault', () => {
  const options = read<Seen[]>('seen.json').flatMap(({ preset: name }) =>
    name === undefined ? [] : Object.keys(preset(name)).map((option) => ({ name, option })),
  )
  expect(options).not.toEqual([])
  const without = options.filter(
    ({ name, option }) =>
      !FAULTS.some((fault) => fault.from.includes(name) && fault.name.endsWith(`without ${option}`)),
  )
  expect(without).toEqual([])
})

const built = readdirSync(DIST, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.js'))
  .map((file) => ({ path: join(DIST, file), code: readFileSync(join(DIST, file), 'utf8') }))

it.each(FAULTS)('$name: it can be planted, and was seen', ({ name }) => {
  expect(built.filter(({ path, code }) => plantedIn(name, path, code) !== code)).toHaveLength(1)
  const record = read<{ fault: string; failed: string[] }[]>('planted.json').find(({ fault }) => fault === name)
  expect(record?.failed ?? []).not.toEqual([])
})
