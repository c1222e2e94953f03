// docs/testing.md followed in a fresh folder: its programs under every runner it names, and each of the six mistakes
// planted in them.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Files, type Outcome, project, run } from './project.js'

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/testing.md'), 'utf8')

/** The code blocks by their first line. */
const programs = new Map(
  [...page.matchAll(/^```js\n\/\/ (.+)\n([\s\S]*?)^```$/gm)].map(([, name = '', code = '']) => [name, code]),
)

function program(name: string): string {
  const code = programs.get(name)
  if (code === undefined) throw new Error(`docs/testing.md has no ${name} any more`)
  return code
}

const APP = program('app.mjs')

/** The same application with the first and the last lines that the page gives for CommonJS. */
function inCommonJs(app: string): string {
  const [first = '', last = ''] = program('app.js, its first lines').split(/\n\n/)
  return `${first}\n${app.replaceAll(/^import .*\n/gm, '').replace('export async function', 'async function')}\n${last}`
}

interface Runner {
  readonly test: string
  readonly files: (app: string) => Files
  readonly command: string
  readonly env?: Readonly<Record<string, string>>
  readonly passed: RegExp
}

const RUNNERS: Readonly<Record<string, Runner>> = {
  'node --test': {
    test: 'logout.test.mjs, for node --test',
    files: (app) => ({ 'app.mjs': app }),
    command: 'node --test',
    passed: /pass 1\b/,
  },
  vitest: {
    test: 'logout.test.mjs, for vitest',
    files: (app) => ({ 'app.mjs': app }),
    command: 'vitest run',
    passed: /Tests +1 passed/,
  },
  'Jest, ES modules': {
    test: 'logout.test.mjs, for Jest',
    files: (app) => ({ 'app.mjs': app, 'jest.config.mjs': program('jest.config.mjs') }),
    command: 'jest',
    env: { NODE_OPTIONS: '--experimental-vm-modules' },
    passed: /Tests: +1 passed/,
  },
  'Jest, CommonJS': {
    test: 'logout.test.js, for Jest',
    files: (app) => ({ 'app.js': inCommonJs(app), 'jest.config.js': program('jest.config.js') }),
    command: 'jest',
    passed: /Tests: +1 passed/,
  },
}

function follow(name: string, { test, files, command, env }: Runner, app: string): Promise<Outcome> {
  const [file = ''] = test.split(',')
  const folder = project(name, { 'package.json': { private: true }, ...files(app), [file]: program(test) })
  return run(folder, command, env)
}

function replaced(before: string, after: string): (app: string) => string {
  return (app) => {
    if (!app.includes(before)) throw new Error(`docs/testing.md does not say ${before} any more`)
    return app.replace(before, after)
  }
}

const RECEIVER = "  app.all('/backchannel-logout', logout.receiver())"
const WALL =
  "  app.use((req, res, next) => (req.session.user || req.path === '/login' ? next() : res.redirect('/login')))\n"
const BIND = 'const { ended } = await logout.bind(req, tokens.claims())'

const MISTAKES: Readonly<Record<string, readonly [mistake: (app: string) => string, words: RegExp]>> = {
  'the receiver is not mounted': [replaced(RECEIVER, `  //${RECEIVER}`), /no receiver is mounted at this path/],
  'bind is forgotten': [replaced(BIND, 'const ended = false'), /bind\(\) was not called/],
  'bind is not awaited': [
    replaced(BIND, 'const { ended } = logout.bind(req, tokens.claims())'),
    /bind\(\) is not awaited/,
  ],
  'its ended is ignored': [replaced("    if (ended) return res.redirect('/login')\n", ''), /ended, is ignored/],
  'the store is another': [
    replaced('sessions: expressSessions(store)', 'sessions: expressSessions(new session.MemoryStore())'),
    /another store|same store object/,
  ],
  'the receiver stands behind a login wall': [
    (app) => {
      const unmounted = replaced(RECEIVER, `  //${RECEIVER}`)(app)
      return replaced("\n  app.get('/login'", `\n${WALL}${RECEIVER}\n  app.get('/login'`)(unmounted)
    },
    /stands behind a login wall/,
  ],
}

describe.each(Object.entries(RUNNERS))('docs/testing.md under %s', (name, runner) => {
  it('has a test of under 25 lines, which passes', async () => {
    expect(program(runner.test).trim().split('\n').length).toBeLessThan(25)
    const { code, output } = await follow(name, runner, APP)
    expect(output).toMatch(runner.passed)
    expect(code).toBe(0)
  })

  it.each(Object.entries(MISTAKES))('fails where %s, and says so', async (_, [mistake, words]) => {
    const { code, output } = await follow(name, runner, mistake(APP))
    expect(output).toMatch(words)
    expect(output).toContain('docs/troubleshooting.md#')
    expect(code).toBe(1)
  })
})
