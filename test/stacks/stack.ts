// A recipe beside a real OP, and what browsers do with both.
import { expect } from 'vitest'
import { Browser } from './browser.js'
import { CLIENT_ID, CLIENT_SECRET, type Op, startOp } from './op.js'
import { type RunningProgram, type RunOptions, reserveOrigin, run, unpack } from './recipe.js'

export interface Stack {
  readonly origin: string
  readonly op: Op
  readonly program: RunningProgram
  stop(): Promise<void>
}

export interface StackOptions {
  /** Default: the name of the test. */
  readonly recipe?: string
  readonly entry?: string
  readonly authMethod?: 'client_secret_basic' | 'client_secret_post'
  /** What a browser meets whose login came too late for a logout. Default: 403 at the callback. */
  readonly lateLogin?: { readonly status: number; readonly at: string }
  readonly change?: (code: string) => string
  /** Where the program lies, if not beside the repository's own packages. */
  readonly programs?: string
  readonly tsconfig?: string
  /** Runs it in another way than by `node`: built first, say. */
  readonly run?: (options: RunOptions) => Promise<RunningProgram>
}

export async function startStack(recipe: string, options: StackOptions): Promise<Stack> {
  const { entry, authMethod = 'client_secret_post', change, programs, tsconfig } = options
  const { origin, socket } = await reserveOrigin()
  const op = await startOp(origin, authMethod)
  const env = {
    ISSUER: op.issuer,
    CLIENT_ID,
    CLIENT_SECRET,
    BASE_URL: origin,
    SESSION_SECRET: 'a secret of more than thirty-two characters',
  }
  const folder = unpack(recipe, change, programs)
  const program = await (options.run ?? run)({
    folder,
    socket,
    env,
    ...(entry && { entry }),
    ...(tsconfig && { tsconfig }),
  })
  return {
    origin,
    op,
    program,
    stop: async () => {
      await program.stop()
      await op.close()
    },
  }
}

/** A browser in which this user has signed in. */
export async function signIn({ origin, op }: Stack, user: string, browser = new Browser()): Promise<Browser> {
  op.nextUser = user
  const page = await browser.get(`${origin}/login`)
  expect({ status: page.status, url: page.url, user: page.text }).toEqual({ status: 200, url: `${origin}/me`, user })
  return browser
}

export async function logOutAtTheOp({ op }: Stack, browser: Browser): Promise<void> {
  const { text } = await browser.get(`${op.issuer}/session/end`)
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(text)?.[1]
  if (xsrf === undefined) throw new Error('the OP did not ask')
  const before = op.deliveries.length
  await browser.post(`${op.issuer}/session/end/confirm`, { xsrf, logout: 'yes' })
  expect(op.deliveries.slice(before)).toEqual(['success'])
}

export const who = async ({ origin }: Stack, browser: Browser) => {
  const { status, text } = await browser.get(`${origin}/me`)
  return status === 200 ? text : status
}

/** Every recipe that ends sessions, and what its program needs. */
export const RECIPES: Readonly<Record<string, StackOptions>> = {
  README: { entry: 'app.mjs' },
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
}
