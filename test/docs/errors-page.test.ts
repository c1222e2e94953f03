// The page of errors says what the sources say, and the page of symptoms has every place that a message points to.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { errorsPage } from '../../scripts/errors-page.js'
import { ADVISED, adviceOn } from '../../src/advice.js'
import { ALL_MISTAKES, mistakeError } from '../../src/mistakes/mistakes.js'

const root = path.resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

/** As GitHub and most generators make them: a second heading of the same words gets a number. */
function anchorsOf(markdown: string): readonly string[] {
  const times = new Map<string, number>()
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => {
    const words = title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    const seen = times.get(words) ?? 0
    times.set(words, seen + 1)
    return seen === 0 ? words : `${words}-${seen}`
  })
}

describe('docs/errors.md', () => {
  it('is what `npm run errors` writes: run it after a change', () => {
    expect(read('docs/errors.md')).toBe(errorsPage())
  })

  it('has every reason for which a remedy is known, under its code', () => {
    const sections = read('docs/errors.md').split(/^## /m)
    const section = (code: string) => sections.find((part) => part.startsWith(`${code}\n`)) ?? ''
    expect(ADVISED.filter(([code, reason]) => !section(code).includes(`| \`${reason}\` |`))).toEqual([])
  })

  it('has every code, and the reasons of each kind', () => {
    const page = errorsPage()
    const codes = read('src/errors.ts').match(/(?<= \| ')ERR_\w+/g) ?? []
    expect(codes.length).toBeGreaterThan(10)
    for (const code of codes) expect(page).toContain(`## ${code}`)
    for (const reason of ['nonce_present', 'jwks_fetch_failed', 'body_consumed', 'sid_invalid']) {
      expect(page).toContain(`| \`${reason}\` |`)
    }
  })
})

describe('docs/troubleshooting.md', () => {
  const anchors = anchorsOf(read('docs/troubleshooting.md'))

  it('has every place that an error names as its page', () => {
    const pages = [
      ...ADVISED.map(([code, reason]) => adviceOn(code, reason).page),
      ...ALL_MISTAKES.map((mistake) => mistakeError(mistake).page),
    ]
    const missing = pages.filter((page = '') => !anchors.includes(page.replace('docs/troubleshooting.md#', '')))
    expect(missing).toEqual([])
    expect(pages.length).toBeGreaterThan(40)
  })

  it('has every place that a message points to', () => {
    const files = ['receiver-answer', 'logout-trial', 'application-on-trial']
    const sources = files.map((name) => read(`src/testing/${name}.ts`)).join('\n')
    const named = [...sources.matchAll(/^\s+'([a-z0-9-]+)',?$/gm), ...sources.matchAll(/, '([a-z0-9-]+)'\)$/gm)]
    const places = new Set(named.map(([, anchor = '']) => anchor).filter((anchor) => !/^(GET|POST)$/.test(anchor)))
    expect([...places].filter((anchor) => !anchors.includes(anchor))).toEqual([])
    expect(places.size).toBeGreaterThan(12)
  })

  it('leads from each symptom to a place that is there', () => {
    const links = [...read('docs/troubleshooting.md').matchAll(/\]\(#([\w-]+)\)/g)].map(([, anchor = '']) => anchor)
    expect(links.filter((anchor) => !anchors.includes(anchor))).toEqual([])
  })

  /** Each place, by its heading, with what it says of event, console and remedy. */
  const leaves = read('docs/troubleshooting.md')
    .split(/^### /m)
    .slice(1)
    .map((leaf) => ({ title: leaf.split('\n')[0], text: leaf.split(/^## /m)[0] ?? '' }))
  const said = (text: string, label: string) =>
    text.match(new RegExp(`\\*\\*${label}:\\*\\*\\s([\\s\\S]+?)(?=\\s\\*\\*Console|\\n\\n|$)`))?.[1] ?? ''

  it('says at each place which event there is, which line on the console, and what to do', () => {
    const bare = leaves.filter(({ text }) =>
      ['Event', 'Console', 'Remedy'].some((label) => said(text, label).length < 5),
    )
    expect(bare.map(({ title }) => title)).toEqual([])
    expect(leaves.length).toBeGreaterThan(25)
  })

  it('names events, codes and reasons that the sources have', () => {
    const types = new Set([...read('src/events.ts').matchAll(/readonly type: '([\w-]+)'/g)].map(([, type]) => type))
    const errors = errorsPage()
    const known = new Set([
      ...[...errors.matchAll(/^## (ERR_\w+)/gm)].map(([, code]) => code),
      ...[...errors.matchAll(/^\| `(\w+)` \|/gm)].map(([, reason]) => reason),
      ...ALL_MISTAKES,
    ])
    const printed = new Set([...known].map((name = '') => `BCL_${name.replace(/^ERR_/, '').toUpperCase()}`))
    const unknown = leaves.flatMap(({ title, text }) => {
      const words = [...said(text, 'Event').matchAll(/`([\w-]+)`/g)].map(([, word = '']) => word)
      const codes = [...text.matchAll(/\bBCL_[A-Z_]+/g)].map(([code]) => code)
      const isName = (word: string) =>
        types.has(word) || known.has(word) || ['bind', 'reason', 'onEvent'].includes(word)
      return [
        ...words.filter((word) => !isName(word) && word !== 'withoutSid'),
        ...codes.filter((code) => !printed.has(code)),
      ].map((word) => `${title}: ${word}`)
    })
    expect(unknown).toEqual([])
  })

  it('has a place for everything that is printed of a mistake', () => {
    const page = read('docs/troubleshooting.md')
    expect(ALL_MISTAKES.filter((mistake) => !page.includes(`BCL_${mistake.toUpperCase()}`))).toEqual([])
  })
})

describe('links into pages', () => {
  it('lead to headings that are there', () => {
    const pages = [
      'README.md',
      ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
        // Not those of the API reference: its generator numbers headings of the same words in its own way.
        .filter((file) => file.endsWith('.md') && !file.startsWith('api'))
        .map((file) => `docs/${file}`),
    ]
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([\w./-]+\.md)#([\w-]+)\)/g)]
        .filter(
          ([, target = '', anchor = '']) => !anchorsOf(read(path.join(path.dirname(page), target))).includes(anchor),
        )
        .map(([link]) => `${page}: ${link}`),
    )
    expect(broken).toEqual([])
  })
})
