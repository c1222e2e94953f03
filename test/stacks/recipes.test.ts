// Every recipe, run as its page has it, against a real OP: sign in with three browsers, log one out at the OP, and see who is left.
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.js'
import { CLIENT_ID, CLIENT_SECRET, type Op, startOp } from './op.js'
import { type RunningProgram, reserveOrigin, run, unpack } from './recipe.js'

interface Stack {
  readonly origin: string
  readonly op: Op
  readonly program: RunningProgram
}

interface StackOptions {
  /** Default: the name of the test. */
  readonly recipe?: string
  readonly entry?: string
  readonly authMethod?: 'client_secret_basic' | 'client_secret_post'
  readonly change?: (code: string) => string
}

async function startStack(recipe: string, options: StackOptions): Promise<Stack> {
  const { entry, authMethod = 'client_secret_post', change } = options
  const { origin, socket } = await reserveOrigin()
  const op = await startOp(origin, authMethod)
  const env = {
    ISSUER: op.issuer,
    CLIENT_ID,
    CLIENT_SECRET,
    BASE_URL: origin,
    SESSION_SECRET: 'a secret of more than thirty-two characters',
  }
  const program = await run({ folder: unpack(recipe, change), socket, env, ...(entry && { entry }) })
  return { origin, op, program }
}

/** A browser in which this user has signed in. */
async function signIn({ origin, op }: Stack, user: string, browser = new Browser()): Promise<Browser> {
  op.nextUser = user
  const page = await browser.get(`${origin}/login`)
  expect({ status: page.status, url: page.url, user: page.text }).toEqual({ status: 200, url: `${origin}/me`, user })
  return browser
}

async function logOutAtTheOp({ op }: Stack, browser: Browser): Promise<void> {
  const { text } = await browser.get(`${op.issuer}/session/end`)
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(text)?.[1]
  if (xsrf === undefined) throw new Error('the OP did not ask')
  const before = op.deliveries.length
  await browser.post(`${op.issuer}/session/end/confirm`, { xsrf, logout: 'yes' })
  expect(op.deliveries.slice(before)).toEqual(['success'])
}

const who = async ({ origin }: Stack, browser: Browser) => {
  const { status, text } = await browser.get(`${origin}/me`)
  return status === 200 ? text : status
}

const RECIPES: Readonly<Record<string, StackOptions>> = {
  'express-session': {},
  passport: {},
  'express-openid-connect': { authMethod: 'client_secret_basic' },
  'express-openid-connect with a store': {
    recipe: 'express-openid-connect',
    authMethod: 'client_secret_basic',
    change: (code) =>
      code
        .replace('import express,', "import session from 'express-session'\nimport express,")
        .replace('secret: SESSION_SECRET,', '$& session: { store: new session.MemoryStore() },'),
  },
  'cookie-session': {},
  'jwt-cookie': {},
  fastify: {},
  hono: {},
  nextjs: { entry: path.join(import.meta.dirname, 'route-files.ts') },
}

describe.each(Object.entries(RECIPES))('%s', (name, options) => {
  let stack: Stack

  beforeAll(async () => {
    stack = await startStack(options.recipe ?? name, options)
  })

  afterAll(async () => {
    await stack?.program.stop()
    await stack?.op.close()
  })

  it('a logout at the OP ends that sign-on, the thief included, and no other; a later login lives', async () => {
    const laptop = await signIn(stack, 'ada')
    const phone = await signIn(stack, 'ada')
    const other = await signIn(stack, 'grace')
    const thief = laptop.copy()
    await logOutAtTheOp(stack, laptop)
    expect(await who(stack, thief)).toBe(401)
    expect(await who(stack, laptop)).toBe(401)
    expect(await who(stack, phone)).toBe('ada')
    expect(await who(stack, other)).toBe('grace')

    await signIn(stack, 'ada', laptop)
    expect(await who(stack, laptop)).toBe('ada')
    expect(await who(stack, thief)).toBe(401)
  })

  it('a local logout ends that session, whoever holds its cookie', async () => {
    const laptop = await signIn(stack, 'ada')
    const phone = await signIn(stack, 'ada')
    const thief = laptop.copy()
    await laptop.post(`${stack.origin}/logout`)
    expect(await who(stack, laptop)).toBe(401)
    expect(await who(stack, thief)).toBe(401)
    expect(await who(stack, phone)).toBe('ada')
  })

  it('refuses what is not a logout, and nobody is signed out by it', async () => {
    const laptop = await signIn(stack, 'ada')
    const url = `${stack.origin}/backchannel-logout`
    const refused = [
      await fetch(url, { method: 'POST', body: new URLSearchParams({ logout_token: 'no.such.token' }) }),
      await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
      await fetch(url, { method: 'POST', body: 'logout', headers: { 'content-type': 'text/plain' } }),
    ]
    for (const answer of refused) {
      expect(answer.status).toBe(400)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('set-cookie')).toBeNull()
      expect(await answer.json()).toMatchObject({ error: 'invalid_request' })
    }
    expect((await fetch(url)).status).toBe(405)
    expect(await who(stack, laptop)).toBe('ada')
  })

  it('has nothing to complain of', () => {
    expect(stack.program.complaints()).toBe('')
  })
})
