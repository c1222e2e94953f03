// Every recipe that needs a framework, run as its page has it, against a real OP: who is left after a logout.
import { describe, expect, it } from 'vitest'
import { Browser } from '../stacks/browser.js'
import { describeBadMoments } from '../stacks/describe-bad-moments.js'
import { describeRecipe, describeWithout } from '../stacks/describe-recipe.js'
import { filesOf } from '../stacks/recipe.js'
import { startStack, who } from '../stacks/stack.js'
import { PROGRAMS } from './programs.js'

/** Nest is compiled by tsc first. */
const BUILT_AND_RUN_MS = 180_000

for (const [name, options] of Object.entries(PROGRAMS)) describeRecipe(name, options)

// Next.js type-checks what it builds, and the gates are plain JavaScript: its store is held to the same rules by
// test/frameworks/web.test.ts.
describe('in the moments that matter most', () => {
  const { nextjs: _, ...gated } = PROGRAMS
  for (const [name, options] of Object.entries(gated)) describeBadMoments(name, options)
})

// Mistake 10 of docs/mistakes.md, in every recipe that keeps sessions in a store.
describe('with another store object than the protected one nobody can sign in', () => {
  const stored = Object.keys(PROGRAMS).filter((name) =>
    filesOf(name).some(({ code }) => code.includes('expressSessions(store')),
  )
  it.each(stored)(
    '%s',
    async (name) => {
      const another = (code: string) =>
        code.replace('expressSessions(store', 'expressSessions(new session.MemoryStore()')
      const stack = await startStack(name, { ...PROGRAMS[name], change: another })
      try {
        stack.op.nextUser = 'ada'
        const browser = new Browser()
        const page = await browser.get(`${stack.origin}/login`)
        expect([new URL(page.url).pathname, page.status]).toEqual(['/callback', 500])
        expect(await who(stack, browser)).toBe(401)
      } finally {
        await stack.stop()
      }
    },
    BUILT_AND_RUN_MS,
  )
})

// Of @fastify/session alone does `regenerate` leave the sign-on behind.
describe('a user who is copied to another session, and not bound there, is not signed in', () => {
  it.each(['fastify-session', 'nestjs-fastify'])(
    '%s',
    async (name) => {
      const copying = (code: string) =>
        code.replace(/( +)(\w+)\.session\.user = claims\.sub\n/, "$&$1await $2.session.regenerate(['user'])\n")
      const stack = await startStack(name, { ...PROGRAMS[name], change: copying })
      try {
        stack.op.nextUser = 'ada'
        const browser = new Browser()
        const page = await browser.get(`${stack.origin}/login`)
        expect([new URL(page.url).pathname, page.status]).toEqual(['/me', 401])
      } finally {
        await stack.stop()
      }
    },
    BUILT_AND_RUN_MS,
  )
})

describeWithout(PROGRAMS, {
  'fastify-session': (code) =>
    code
      .replace(/await logout\.bind\(local\(request\)[^)]*\)/, '{ ended: false }')
      .replace(/expressSessions\(store, .*\),/, 'expressSessions(store),'),
  hono: (code) => code.replace('!(await logout.isLive(session.signOn))', 'false'),
  koa: (code) => code.replace('!(await logout.isLive(signOn))', 'false'),
})
