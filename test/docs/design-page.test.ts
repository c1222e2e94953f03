// The page of the design against the tree: what it names is there, and its rows are those that the house test asserts.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

describe.each(['docs/design.md', 'CONTRIBUTING.md'])('%s', (page) => {
  it('names only files that are there', () => {
    const named = [...read(page).matchAll(/`((?:src|test|docs|bench|example-app|\.ci)\/[\w./-]*)`/g)].map(
      ([, file = '']) => file,
    )
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter((file) => !existsSync(path.join(root, file)))).toEqual([])
  })
})

describe('the rows of docs/design.md', () => {
  it('are those of the house test', () => {
    const [, drawn = ''] = /^## The rows$[\s\S]*?^```\n([\s\S]*?)\n^```$/m.exec(read('docs/design.md')) ?? []
    const [, asserted = ''] = /const ROWS[^=]*= \[\n([\s\S]*?)\n\]/.exec(read('test/house/imports.test.ts')) ?? []
    const rows = asserted.split('\n').map((row) => [...row.matchAll(/'([^']+)'/g)].map(([, room]) => room))
    expect(rows.length).toBeGreaterThan(5)
    expect(drawn.split('\n').map((row) => row.split(/\s+/))).toEqual(rows)
  })
})

describe('a reader of docs/design.md', () => {
  it.each([
    ['May `exp`', /exp_missing/],
    ['when a session id changes', /async begin\(fromSessionId/],
    ['Which mark covers', /export function covers\(/],
    ['Redis is down', /'logout_failed'/],
  ])('who asks %s is led to one file, and it is decided there', (question, decided) => {
    const files = [...read('docs/design.md').matchAll(/^\| (.*\?) \| `([^`]+)` \|$/gm)]
      .filter(([, asked = '']) => asked.includes(question))
      .map(([, , file = '']) => file)
    expect(files).toHaveLength(1)
    expect(read(files[0] ?? '')).toMatch(decided)
  })
})
