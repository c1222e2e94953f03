// The mistakes that people make, each at the application as its owner and its users see it: who made one is told, in
// the words that docs/mistakes.md has, and after a logout nobody stays signed in in silence. The 21st is made in the
// frameworks themselves: test/frameworks/foreign-objects.test.ts.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import express from 'express'
import session from 'express-session'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { createFakeOp, type FakeOp, type FakeOpOptions, type TestBrowser } from '../../src/testing/index.js'
import { run } from '../cli/run.js'
import { describeWith } from '../servers/processes.js'
import { redisServer, startRedis } from '../servers/redis.js'
import { type Mistaken, type RunningApplication, startApplication } from './application.js'
import type { ProgramSettings } from './program.js'

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/mistakes.md'), 'utf8')
const inOneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim()

/** What the page says is shown: the first block of the mistake's section, however it is wrapped. */
function shownOnPage(mistake: number): string {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${mistake}. `)) ?? ''
  return inOneLine(/^```text\n([\s\S]*?)^```$/m.exec(section)?.[1] ?? '')
}

const toClose: (() => Promise<unknown>)[] = []
let warnings: string[] = []
let op: FakeOp
const hear = (warning: Error & { code?: string; detail?: string }) => {
  if (warning.name !== 'BackchannelLogoutWarning') return
  warnings.push(`[${warning.code}] ${warning.name}: ${warning.message}\n${warning.detail}`)
}

beforeEach(() => {
  warnings = []
  process.on('warning', hear)
})
afterEach(async () => {
  process.off('warning', hear)
  for (const close of toClose.splice(0).reverse()) await close()
})

async function startOp(options: Partial<FakeOpOptions> = {}): Promise<FakeOp> {
  op = await createFakeOp({ clientId: 'my-rp', ...options })
  toClose.push(op.close)
  return op
}

async function start(mistaken: Mistaken = {}, options: Partial<FakeOpOptions> = {}): Promise<RunningApplication> {
  const app = await startApplication((await startOp(options)).issuer, mistaken)
  toClose.push(app.close)
  return app
}

const uri = ({ url }: { readonly url: string }) => `${url}/backchannel-logout`
const isIn = async (browser: TestBrowser, { url }: { readonly url: string }) =>
  (await browser.request(`${url}/me`)).status === 200

async function signIn(app: { readonly url: string }, sub = 'ada') {
  const browser = op.openBrowser(sub)
  const { text } = await browser.get(`${app.url}/login`)
  return { browser, session: browser.session, text }
}

/** Of the OP's own addresses only the port differs, and the page cannot know it. */
const asOnPage = (text: string) => inOneLine(text.replaceAll(op.issuer, 'http://127.0.0.1:9000'))

/** The console says it, in the words of the page. */
async function expectTold(mistake: number): Promise<void> {
  await expect.poll(() => warnings.map(asOnPage), { timeout: 15_000 }).toContainEqual(shownOnPage(mistake))
}

/** The package is never reached, so it cannot say anything: `doctor` finds it. */
async function expectDoctorFinds(mistake: number, app: RunningApplication): Promise<void> {
  const { out, code } = await run(['doctor', op.issuer, '--uri', uri(app)])
  const [, found = ''] = /^(problem\s+receiver[\s\S]*?)(?=^\S|(?![\s\S]))/m.exec(out) ?? []
  expect(inOneLine(found)).toBe(shownOnPage(mistake))
  expect(code).toBe(1)
}

/** A process of its own, and what it printed. */
async function startProgram(settings: ProgramSettings) {
  const program = path.join(import.meta.dirname, 'program.ts')
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', program], {
    env: { ...process.env, NODE_ENV: 'production', MISTAKE: JSON.stringify(settings) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let printed = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const gone = once(child, 'exit').then(([code]) => code as number | null)
  toClose.push(() => {
    child.kill('SIGKILL')
    return gone
  })
  const url = await Promise.race([
    once(child, 'message').then(([message]) => String(message)),
    gone.then(() => Promise.reject(new Error(`the program ended: ${printed}`))),
  ])
  return { url, gone, printed: () => printed }
}

async function expectPrinted(mistake: number, printed: () => string): Promise<void> {
  await expect.poll(() => asOnPage(printed()), { timeout: 10_000 }).toContain(shownOnPage(mistake))
}

describe('the application without a mistake', () => {
  it('says nothing on the console, and its user is signed out', async () => {
    const app = await start()
    const { browser, session } = await signIn(app)
    expect(await isIn(browser, app)).toBe(true)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(200)
    expect(await isIn(browser, app)).toBe(false)
    expect(warnings).toEqual([])
  })

  it('nor does it where the very first logout comes during the very first login', async () => {
    const app = await start()
    op.duringNextLogin(async (session) => void (await op.logOut(session, { to: uri(app) })))
    const { browser } = await signIn(app)
    expect(app.failures).toEqual(['ended'])
    expect(await isIn(browser, app)).toBe(false)
    // What it waited for is said now, if there is anything.
    app.logout.close()
    await new Promise(setImmediate)
    expect(warnings).toEqual([])
  })
})

describe('what stands before the receiver keeps the package from being reached, and doctor finds it', () => {
  const refuse = (status: number) => (_req: unknown, res: express.Response) => void res.sendStatus(status)
  it.each<[number, string, Mistaken, number]>([
    [1, 'a login wall', { before: (app) => app.post('/*path', (_req, res) => res.redirect('/login')) }, 302],
    [
      2,
      'nothing is mounted but for GET',
      { mount: (app, logout) => app.get('/backchannel-logout', logout.receiver()) },
      404,
    ],
    [3, 'CSRF middleware', { before: (app) => app.post('/*path', refuse(403)) }, 403],
    [4, 'a JSON parser for every content type', { before: (app) => app.use(express.json({ type: '*/*' })) }, 400],
  ])('%i. %s', async (mistake, _, mistaken, status) => {
    const app = await start(mistaken)
    const { browser, session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(status)
    expect(await isIn(browser, app)).toBe(true)
    await expectDoctorFinds(mistake, app)
  })
})

describe('what the receiver refuses, the console says with what to do', () => {
  const sameIssuer = (path: string) => ({ provider: { issuer: `${op.issuer}${path}`, clientId: 'my-rp' } })
  const readsBodies = (app: express.Express) =>
    app.use(async (req, _res, next) => {
      for await (const _ of req);
      next()
    })

  it('5. the body was read already', async () => {
    const app = await start({ before: readsBodies })
    const { browser, session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
    expect(await isIn(browser, app)).toBe(true)
    await expectTold(5)
  })

  it('13. the issuer has a slash more: the sign-in fails, and says in what they differ', async () => {
    await startOp()
    const app = await startApplication(op.issuer, { options: sameIssuer('/') })
    toClose.push(app.close)
    const { browser, session } = await signIn(app)
    expect(await isIn(browser, app)).toBe(false)
    expect(app.failures.map(asOnPage)).toEqual([shownOnPage(13)])
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
  })

  it('13. the issuer is localhost for 127.0.0.1: the same', async () => {
    const { issuer } = await startOp()
    const provider = { issuer: issuer.replace('127.0.0.1', 'localhost'), clientId: 'my-rp' }
    const app = await startApplication(issuer, { options: { provider } })
    toClose.push(app.close)
    const { browser } = await signIn(app)
    expect(await isIn(browser, app)).toBe(false)
    expect(app.failures).toEqual([expect.stringContaining(`${provider.issuer} differs by localhost or 127.0.0.1`)])
  })

  it('14. the client id is another: the sign-in fails, and each logout is refused', async () => {
    await startOp()
    const app = await startApplication(op.issuer, { options: { provider: { issuer: op.issuer, clientId: 'another' } } })
    toClose.push(app.close)
    const { browser, session } = await signIn(app)
    expect(await isIn(browser, app)).toBe(false)
    expect(app.failures).toEqual([expect.stringContaining('clientId (another)')])
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
    await expectTold(14)
  })

  it('15. another algorithm is registered', async () => {
    const app = await start({}, { algorithm: 'ES256' })
    const { browser, session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
    expect(await isIn(browser, app)).toBe(true)
    await expectTold(15)
  })

  it('16. the clock is ten minutes slow', async () => {
    const app = await start({ options: { clock: () => Date.now() / 1000 - 600 } })
    const { session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
    await expectTold(16)
  })

  it('16. the clock is ten minutes fast', async () => {
    const app = await start({ options: { clock: () => Date.now() / 1000 + 600 } })
    const { session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
    await expect.poll(() => warnings, { timeout: 15_000 }).toEqual([expect.stringContaining('[BCL_EXP_PAST]')])
    expect(warnings[0]).toContain('Compare the clock of this machine with that of the provider')
  })

  it('17. the provider cannot be reached from here: prepare() says so at the start', async () => {
    const app = await start()
    op.behave('discovery', 'closed')
    await app.logout.prepare()
    await expectTold(17)
    const { session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(400)
  })
})

describe('a logout that finds nobody is said, with why', () => {
  it('6. bind is forgotten', async () => {
    const app = await start({ bind: async () => {} })
    const { browser, session } = await signIn(app)
    expect((await op.logOut(session, { to: uri(app) })).status).toBe(200)
    expect(await isIn(browser, app)).toBe(true)
    await expectTold(6)
  })

  it('12. the login was bound by another process with stores of its own', async () => {
    const here = await start()
    const there = await startApplication(op.issuer)
    toClose.push(there.close)
    const { browser, session } = await signIn(there)
    expect((await op.logOut(session, { to: uri(here) })).status).toBe(200)
    expect(await isIn(browser, there)).toBe(true)
    // Said after a few seconds, in which its login may still be under way; or when the process stops.
    await here.close()
    await expectTold(12)
  })

  it('18. the ID Token has no sid, and the Logout Token nothing else', async () => {
    const app = await start()
    const browser = op.openBrowser('ada')
    op.nextIdToken((claims) => op.mint.idToken({ payload: { nonce: undefined, ...claims, sid: undefined } }))
    await browser.get(`${app.url}/login`)
    const token = await op.mint.logoutToken({ payload: { sid: browser.session.sid, sub: undefined } })
    expect((await op.deliver(uri(app), token)).status).toBe(200)
    expect(await isIn(browser, app)).toBe(true)
    await expectTold(18)
  })

  it('20. the session is older than the installation', async () => {
    const sessionStore = new session.MemoryStore()
    const before = await start({ sessionStore, protectedStore: new session.MemoryStore(), bind: async () => {} })
    const { browser, session: old } = await signIn(before)
    const app = await startApplication(op.issuer, { sessionStore })
    toClose.push(app.close)
    await signIn(app, 'grace')
    expect(await isIn(browser, app)).toBe(true)
    expect((await op.logOut(old, { to: uri(app) })).status).toBe(200)
    expect(await isIn(browser, app)).toBe(true)
    await expectTold(20)
  })
})

describe('a login that does not stand', () => {
  it('7. bind is not awaited, and it rejects: the console says with what, and nobody is signed in', async () => {
    await startOp()
    const app = await startProgram({ issuer: op.issuer, mistake: 'bind is not awaited' })
    const { browser } = await signIn(app)
    await expectPrinted(7, app.printed)
    expect(await isIn(browser, app)).toBe(false)
  })

  it('8. nobody looks at ended: the console says that somebody was greeted in vain', async () => {
    const app = await start({ bind: (logout, req, claims) => logout.bind(req, claims) })
    op.duringNextLogin(async (session) => void (await op.logOut(session, { to: uri(app) })))
    const { browser, text } = await signIn(app)
    expect(text).toBe('Welcome, ada')
    expect(await isIn(browser, app)).toBe(false)
    await expectTold(8)
  })

  it('9. Express 4 does not hear what an async handler rejects with: the process ends and says with what', async () => {
    await startOp()
    const app = await startProgram({ issuer: op.issuer, mistake: 'Express 4 and a bind that rejects' })
    await op
      .openBrowser('ada')
      .get(`${app.url}/login`)
      .catch(() => {})
    expect(await app.gone).toBe(1)
    await expectPrinted(9, app.printed)
  })

  it('10. the session store is another object than the protected one: the sign-in fails with the line to change', async () => {
    const app = await start({ protectedStore: new session.MemoryStore() })
    const { browser } = await signIn(app)
    expect(app.failures.map(asOnPage)).toEqual([shownOnPage(10)])
    expect(await isIn(browser, app)).toBe(false)
  })
})

describeWith(redisServer, 'redis-server')('two processes with memoryStore() and one session store', () => {
  it('11. both say so when they start, and again when one meets a session of the other', async () => {
    await startOp()
    const redis = await startRedis()
    toClose.push(() => redis.stop())
    const settings = { issuer: op.issuer, mistake: 'memoryStore() beside Redis', redisUrl: redis.url } as const
    const [one, other] = await Promise.all([startProgram(settings), startProgram(settings)])
    for (const { printed } of [one, other]) await expectPrinted(11, printed)
    const { browser } = await signIn(one)
    expect(await isIn(browser, one)).toBe(true)
    expect(await isIn(browser, other)).toBe(false)
    await expect.poll(other.printed).toContain('[BCL_BINDING_UNKNOWN]')
  })
})

describe('an option that a factory does not have', () => {
  it('19. is refused when the application starts, with the one that was meant', () => {
    const misspelt = { keyPrefix: 'rp:' }
    let told = ''
    try {
      redisStore({} as never, misspelt as never)
    } catch (error) {
      told = String(error)
    }
    expect(inOneLine(told)).toBe(shownOnPage(19))
    expect(() => memoryStore(misspelt as never)).toThrow(TypeError)
  })
})

describe('docs/mistakes.md', () => {
  it('has twenty-one of them, each with what is shown', () => {
    expect([...page.matchAll(/^## (\d+)\. /gm)].map(([, number]) => Number(number))).toEqual(
      Array.from({ length: 21 }, (_, index) => index + 1),
    )
    for (let mistake = 1; mistake <= 21; mistake++) expect(shownOnPage(mistake)).not.toBe('')
  })
})
