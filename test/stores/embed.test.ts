// What ships of the Lua and SQL is what their sources say.
import { describe, expect, it } from 'vitest'
import { GENERATED, inStores } from '../../scripts/embed.js'

describe('embedded sources', () => {
  it.each(Object.entries(GENERATED))('%s is what its sources say; if not: npm run embed', (file, generate) => {
    expect(inStores(file)).toBe(generate())
  })
})
