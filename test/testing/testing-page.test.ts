// The programs of docs/testing.md, run as a reader would: Node's own runner and vitest, and each of the six mistakes planted in them.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it, vi } from 'vitest'

vi.setConfig({ testTimeout: 120_000 })

const root = path.resolve(import.meta.dirname, '../..')
// Inside the repository, so that the package finds itself by its name.
const folder = mkdtempSync(path.join(root, 'test/testing/page-'))
afterAll(() => rmSync(folder, { recursive: true }))

const page = readFileSync(path.join(root, 'docs/testing.md'), 'utf8')
const programs = new Map(
  [...page.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)].map(([, name = '', code = '']) => [name, code]),
)

async function run(test: string, command: readonly string[], mistake: (app: string) => string = (app) => app) {
  const app = mistake(programs.get('app.mjs') ?? '')
  const place = mkdtempSync(path.join(folder, 'run-'))
  writeFileSync(path.join(place, 'app.mjs'), app)
  writeFileSync(path.join(place, test), programs.get(test) ?? '')
  const [file = '', ...args] = command
  // Neither the runner around this one nor its colours are of any concern to the one inside.
  const env = { PATH: process.env.PATH, NODE_ENV: 'test', NO_COLOR: '1' }
  return promisify(execFile)(file, args, { cwd: place, env }).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    ({ code, stdout, stderr }) => ({ code, output: `${stdout}${stderr}` }),
  )
}

const NODE_TEST = [process.execPath, '--test', 'logout.test.mjs']
const VITEST = [
  process.execPath,
  path.join(root, 'node_modules/vitest/vitest.mjs'),
  ...['run', '--root', '.', '--config', 'none', 'logout.vitest.mjs'],
]

function replaced(before: string, after: string): (app: string) => string {
  return (app) => {
    if (!app.includes(before)) throw new Error(`docs/testing.md does not say ${before} any more`)
    return app.replace(before, after)
  }
}

const RECEIVER = "  app.all('/backchannel-logout', logout.receiver())"
const WALL =
  "  app.use((req, res, next) => (req.session.user || req.path === '/login' ? next() : res.redirect('/login')))\n"

describe('docs/testing.md', () => {
  it('has tests of under 25 lines', () => {
    for (const name of ['logout.test.mjs', 'logout.vitest.mjs']) {
      expect(programs.get(name)?.trim().split('\n').length).toBeLessThan(25)
    }
  })

  it('passes under node --test', async () => {
    const { code, output } = await run('logout.test.mjs', NODE_TEST)
    expect(output).toMatch(/pass 1\b/)
    expect(code).toBe(0)
  })

  it('passes under vitest', async () => {
    const command = VITEST.map((each) => (each === 'none' ? path.join(folder, 'vitest.config.mjs') : each))
    writeFileSync(path.join(folder, 'vitest.config.mjs'), "export default { test: { include: ['*.vitest.mjs'] } }\n")
    const { code, output } = await run('logout.vitest.mjs', command)
    expect(output).toMatch(/1 passed/)
    expect(code).toBe(0)
  })

  it.each<[string, (app: string) => string, RegExp]>([
    ['the receiver is not mounted', replaced(RECEIVER, `  //${RECEIVER}`), /no receiver is mounted at this path/],
    [
      'bind is forgotten',
      replaced('const { ended } = await logout.bind(req, tokens.claims())', 'const ended = false'),
      /bind\(\) was not called/,
    ],
    [
      'bind is not awaited',
      replaced(
        'const { ended } = await logout.bind(req, tokens.claims())',
        'const { ended } = logout.bind(req, tokens.claims())',
      ),
      /bind\(\) is not awaited/,
    ],
    ['its ended is ignored', replaced("    if (ended) return res.redirect('/login')\n", ''), /ended, is ignored/],
    [
      'the store is another',
      replaced('sessions: expressSessions(store)', 'sessions: expressSessions(new session.MemoryStore())'),
      /another store|same store object/,
    ],
    [
      'the receiver stands behind a login wall',
      (app) =>
        replaced(
          "\n  app.get('/login'",
          `\n${WALL}${RECEIVER}\n  app.get('/login'`,
        )(replaced(RECEIVER, `  //${RECEIVER}`)(app)),
      /stands behind a login wall/,
    ],
  ])('fails under node --test where %s, and says so', async (_, mistake, words) => {
    const { code, output } = await run('logout.test.mjs', NODE_TEST, mistake)
    expect(output).toMatch(words)
    expect(output).toContain('docs/troubleshooting.md#')
    expect(code).toBe(1)
  })
})
