// Every recipe that needs a framework, run as its page has it, against a real OP: who is left after a logout.
import { describe } from 'vitest'
import { describeBadMoments } from '../stacks/describe-bad-moments.js'
import { describeRecipe, describeWithout } from '../stacks/describe-recipe.js'
import { PROGRAMS } from './programs.js'

for (const [name, options] of Object.entries(PROGRAMS)) describeRecipe(name, options)

// Next.js type-checks what it builds, and the gates are plain JavaScript: its store is held to the same rules by
// test/frameworks/web.test.ts.
describe('in the moments that matter most', () => {
  const { nextjs: _, ...gated } = PROGRAMS
  for (const [name, options] of Object.entries(gated)) describeBadMoments(name, options)
})

describeWithout(PROGRAMS, {
  'fastify-session': (code) => code.replace(/await logout\.bind\(local\(request\)[^)]*\)/, '{ ended: false }'),
  hono: (code) => code.replace('!(await logout.isLive(session.signOn))', 'false'),
  koa: (code) => code.replace('!(await logout.isLive(signOn))', 'false'),
})
