import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { providersTable } from '../../scripts/providers-table.js'

it('the table of providers says what the presets and the last capture say: npm run providers:table', () => {
  const file = path.resolve(import.meta.dirname, '../../docs/providers-table.md')
  expect(readFileSync(file, 'utf8')).toBe(providersTable())
})
