// The sources explain themselves: nothing refers to a numbered rule or to a page that is not in the repository.
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { files, read } from './repository.js'

/** A rule or property by its number alone, also across the lines of a comment; or a folder that is elsewhere. */
const NUMBERED = /\b[Ll]aws?[\s*/-]+\d|\b[Pp]ropert(?:y|ies)\s+P?\d|\bP1?\d\b|\bshared[/]/g
const PAGE = /(?<![\w./:-])[\w.][\w./-]*\.md\b/g

const pages = new Set(files.filter((file) => file.endsWith('.md')).map((file) => path.basename(file)))

const numbered = (text: string) => text.match(NUMBERED) ?? []
const missingPages = (text: string) => (text.match(PAGE) ?? []).filter((page) => !pages.has(path.basename(page)))
const inEachFile = (find: (text: string) => readonly string[]) =>
  files.flatMap((file) => find(read(file)).map((found) => `${file}: ${found}`))

describe('the words of the repository', () => {
  it('say the sentence, never the number of a rule', () => {
    expect(inEachFile(numbered)).toEqual([])
    expect(files.length).toBeGreaterThan(300)
  })

  it('name no page that the repository does not contain', () => {
    expect(inEachFile(missingPages)).toEqual([])
  })

  // Put together here, so that this file is not among what it finds.
  it.each([
    ['law', 7],
    ['Laws', '2 and 7'],
    ['law\n *', 7],
    ['property', 3],
    ['see', `P${14}`],
    ['of', `P${1}-P${15}`],
    ['', ['shared', 'rules'].join('/')],
  ])('would be caught saying "%s %s"', (...words) => {
    expect(numbered(words.join(' '))).not.toEqual([])
  })

  it.each(['P-256', 'ES256', 'p50', 'the lawful 7'])('may say "%s"', (words) => {
    expect(numbered(words)).toEqual([])
  })

  it('would be caught naming a page from elsewhere', () => {
    expect(missingPages(`as ${['receiver-rules', 'md'].join('.')} has it`)).toHaveLength(1)
    expect(missingPages('as docs/stores.md has it')).toEqual([])
  })
})
