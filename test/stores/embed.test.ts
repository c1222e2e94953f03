import { describe, expect, it } from 'vitest'
import { current, EMBEDDINGS } from './embed.js'

describe('embedded sources', () => {
  for (const embedding of EMBEDDINGS) {
    const { module, source } = embedding()
    it(`${module} is what its sources say; if not: npx tsx test/stores/embed.ts`, () => {
      expect(current(module)).toBe(source)
    })
  }
})
