// Every recipe, run as its page has it, against a real OP: sign in with three browsers, log one out at the OP, and see
// who is left.
import { describe, expect, it } from 'vitest'
import { describeRecipe, describeWithout } from './describe-recipe.js'
import { logOutAtTheOp, RECIPES, signIn, startStack, who } from './stack.js'

for (const [name, options] of Object.entries(RECIPES)) describeRecipe(name, options)

describeWithout(RECIPES, {
  'express-session': (code) => code.replace(/await logout\.bind\([^)]*\)/, '{ ended: false }'),
  'cookie-session': (code) => code.replace(/^app\.use\(logout\.guard.*$/m, ''),
  'express-openid-connect': (code) => code.replace('req.appSession?.signOn, {', 'undefined, {'),
})

describe('passport with a password login beside it', () => {
  const passwordLogin = `
app.post('/password', async (req, res, next) => {
  await logout.detach(req)
  req.login({ sub: 'grace' }, (error) => (error ? next(error) : res.redirect('/me')))
})
app.listen(`
  const withPasswords = (code: string) =>
    code
      .replace('session.passport !== undefined', "$& && Object(session.passport).user !== 'grace'")
      .replace('app.listen(', passwordLogin)

  /** Who is left in a browser in which Grace signed in by a password after Ada, when Ada is logged out at the OP. */
  const left = async (change: (code: string) => string) => {
    const stack = await startStack('passport', { ...RECIPES.passport, change })
    try {
      const laptop = await signIn(stack, 'ada')
      await laptop.post(`${stack.origin}/password`)
      expect(await who(stack, laptop)).toBe('grace')
      await logOutAtTheOp(stack, laptop)
      return await who(stack, laptop)
    } finally {
      await stack.stop()
    }
  }

  it('detach lets the second user stay when the first is logged out', async () => {
    expect(await left(withPasswords)).toBe('grace')
  })

  it('without it both end', async () => {
    expect(await left((code) => withPasswords(code).replace('await logout.detach(req)', ''))).toBe(401)
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
