// What every program of docs/recipes must do beside a real OP, whatever it is built with.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { logOutAtTheOp, type Stack, type StackOptions, signIn, startStack, who } from './stack.js'

export function describeRecipe(name: string, options: StackOptions): void {
  describe(name, () => {
    let stack: Stack

    beforeAll(async () => {
      stack = await startStack(options.recipe ?? name, options)
    })

    afterAll(async () => {
      await stack?.stop()
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

      // At once, and without a password: by the `sid` that the session had which was just ended.
      await signIn(stack, 'ada', laptop)
      expect(await who(stack, laptop)).toBe('ada')
      expect(await who(stack, phone)).toBe('ada')
      expect(await who(stack, thief)).toBe(401)
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
}

/** What the tests of recipes are worth. `without`: takes the one line out of a program by which it is protected. */
export function describeWithout(
  programs: Readonly<Record<string, StackOptions>>,
  without: Readonly<Record<string, (code: string) => string>>,
): void {
  describe('what these tests are worth: without its protection, a thief stays signed in', () => {
    it.each(Object.entries(without))('%s', async (name, change) => {
      const stack = await startStack(name, { ...programs[name], change })
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
}
