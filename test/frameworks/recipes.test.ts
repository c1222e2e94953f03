// Every recipe that needs a framework, run as its page has it, against a real OP: who is left after a logout.
import { describe, expect, it } from 'vitest'
import { describeBadMoments } from '../stacks/describe-bad-moments.js'
import { describeRecipe } from '../stacks/describe-recipe.js'
import { logOutAtTheOp, signIn, startStack, who } from '../stacks/stack.js'
import { PROGRAMS } from './programs.js'

for (const [name, options] of Object.entries(PROGRAMS)) describeRecipe(name, options)

// Next.js type-checks what it builds, and the gates are plain JavaScript: its store is held to the same rules by test/frameworks/web.test.ts.
describe('in the moments that matter most', () => {
  const { nextjs: _, ...gated } = PROGRAMS
  for (const [name, options] of Object.entries(gated)) describeBadMoments(name, options)
})

describe('what these tests are worth: without its protection, a thief stays signed in', () => {
  const WITHOUT: Readonly<Record<string, (code: string) => string>> = {
    'fastify-session': (code) => code.replace(/await logout\.bind\(local\(request\)[^)]*\)/, '{ ended: false }'),
    hono: (code) => code.replace('!(await logout.isLive(session.signOn))', 'false'),
    koa: (code) => code.replace('!(await logout.isLive(signOn))', 'false'),
  }

  it.each(Object.entries(WITHOUT))('%s', async (recipe, change) => {
    const stack = await startStack(recipe, { ...PROGRAMS[recipe], change })
    try {
      const laptop = await signIn(stack, 'ada')
      const thief = laptop.copy()
      await logOutAtTheOp(stack, laptop)
      expect(await who(stack, thief)).toBe('ada')
    } finally {
      await stack.stop()
    }
  })
})
