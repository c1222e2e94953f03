// Prose and comments are wrapped at 120: they are read in terminals, in diffs and side by side.
import { describe, expect, it } from 'vitest'
import { files, read } from './repository.js'

const WIDTH = 120
/** What is not broken between words: code, the target of a link, an address. */
const WHOLE = /`[^`]*`|\]\([^)]*\)|https?:\S+/g
const COMMENT = /^\s*(?:\/\/|\/?\*|--) /

const tooLong = (line: string) => line.length > WIDTH && line.replace(WHOLE, '').length > WIDTH

/** The lines of a page that are prose: no code block, no table, and nothing that another program wrote. */
function proseOf(page: string): readonly string[] {
  let inCode = false
  return page.split('\n').filter((line) => {
    if (/^\s*(?:```|~~~)/.test(line)) inCode = !inCode
    return !inCode && !/^\s*\|/.test(line)
  })
}

/** Written by a program, or a schema as it once was. */
const NOT_WRITTEN_HERE =
  /\/generated\/|^docs\/(?:api\/|errors\.md|providers-table\.md)|^test\/stores\/postgres\/schemas\//
const linesOf = (file: string, text: string) =>
  file.endsWith('.md') ? proseOf(text) : text.split('\n').filter((line) => COMMENT.test(line))
const longLinesOf = (file: string, text: string) => linesOf(file, text).filter(tooLong)

describe('prose and comments', () => {
  it('are wrapped at 120', () => {
    const tried = files.filter((file) => /\.(?:md|ts|js|mjs|lua|sql)$/.test(file) && !NOT_WRITTEN_HERE.test(file))
    expect(tried.length).toBeGreaterThan(300)
    const long = tried.flatMap((file) => longLinesOf(file, read(file)).map((line) => `${file}: ${line}`))
    expect(long).toEqual([])
  })

  it('are found where they are too long', () => {
    const words = 'a word '.repeat(20)
    expect(longLinesOf('README.md', words)).toHaveLength(1)
    expect(longLinesOf('README.md', `\`\`\`\n${words}\n\`\`\`\n| ${words} |`)).toEqual([])
    expect(longLinesOf('a.ts', `const text = '${words}'\n  // ${words}\n   * ${words}`)).toHaveLength(2)
    expect(longLinesOf('README.md', `See \`${words}\`.`)).toEqual([])
  })
})
