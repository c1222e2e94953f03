// Every recipe, run as its page has it, against a real OP: sign in with three browsers, log one out at the OP, and see who is left.
import { describe, expect, it } from 'vitest'
import { describeRecipe } from './describe-recipe.js'
import { logOutAtTheOp, RECIPES, signIn, startStack, who } from './stack.js'

for (const [name, options] of Object.entries(RECIPES)) describeRecipe(name, options)

describe('what these tests are worth: without its protection, a thief stays signed in', () => {
  const WITHOUT: Readonly<Record<string, (code: string) => string>> = {
    'express-session': (code) => code.replace(/await logout\.bind\([^)]*\)/, '{ ended: false }'),
    'cookie-session': (code) => code.replace(/^app\.use\(logout\.guard.*$/m, ''),
    'express-openid-connect': (code) => code.replace('req.appSession?.signOn, {', 'undefined, {'),
  }

  it.each(Object.entries(WITHOUT))('%s', async (recipe, change) => {
    const stack = await startStack(recipe, { ...RECIPES[recipe], change })
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

describe('the quick start on Express 4', () => {
  it('ends the sign-on, and a login that fails ends neither the process nor anybody else', async () => {
    const change = (code: string) => code.replace("from 'express'", "from 'express4'")
    const stack = await startStack('README', { ...RECIPES.README, change })
    try {
      const laptop = await signIn(stack, 'ada')
      const thief = laptop.copy()
      const login = await fetch(`${stack.origin}/login`, { redirect: 'manual' })
      const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? ''
      const failed = await fetch(`${stack.origin}/callback?code=none&state=another`, { headers: { cookie } })
      expect(failed.status).toBe(500)
      expect(await who(stack, thief)).toBe('ada')
      await logOutAtTheOp(stack, laptop)
      expect(await who(stack, thief)).toBe(401)
    } finally {
      await stack.stop()
    }
  })
})
