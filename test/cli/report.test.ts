// What a command prints of what came from elsewhere, by whatever way it came into a finding.
import { describe, expect, it } from 'vitest'
import { conclude, type Finding, shown } from '../../src/cli/report.js'

function printed(finding: Partial<Finding>, json: boolean): string {
  let out = ''
  const terminal = {
    out: (text: string) => {
      out += text
    },
    err: () => {},
    isInteractive: false,
    colours: false,
    env: {},
  }
  conclude([{ level: 'problem', about: 'algorithms', words: 'words', ...finding }], terminal, { json })
  return out
}

const HOSTILE = 'a\u001b[31m\u009b2J\u202eb\u200e\u200f\u061c\nc'

describe.each([false, true])('what a command prints (json: %s)', (json) => {
  it('steers no terminal and turns no line about', () => {
    const out = printed({ words: HOSTILE, remedy: `Set ${HOSTILE}` }, json)
    expect(out.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u)
    expect(out).toContain('a\uFFFD[31m\uFFFD2J\uFFFDb\uFFFD\uFFFD\uFFFD\uFFFDc')
  })
})

it('what is shown has a length', () => {
  expect(shown('a'.repeat(200), 10)).toBe(`${'a'.repeat(10)}…`)
})
