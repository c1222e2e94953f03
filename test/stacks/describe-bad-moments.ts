// The two moments that matter most, for any program of docs/recipes: a logout comes while the login is being finished,
// and the logout store cannot be asked. Into each program two gates are built, before `bind` or `signOn` and before
// each look-up; nothing else changes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from './browser.js'
import { type Gate, startGate } from './gate.js'
import { logOutAtTheOp, type Stack, type StackOptions, signIn, startStack, who } from './stack.js'

interface Gates {
  readonly login: Gate
  readonly lookUp: Gate
}

/** What stands before `bind` and `signOn`, behind `prepare()`; and the store whose look-ups ask first. */
const withGates =
  ({ login, lookUp }: Gates) =>
  (code: string): string =>
    code.includes('createBackchannelLogout({')
      ? `// @ts-nocheck
import { memoryStore as gatedStore } from 'oidc-backchannel-logout'
const pass = async (gate) => { if (!(await fetch(gate)).ok) throw new Error('refused at the gate') }
const gated = gatedStore()
const behind = (gate, object, name) => {
  const inner = object[name].bind(object)
  object[name] = async (...args) => { await pass(gate); return inner(...args) }
}
for (const name of ['marks', 'read']) behind('${lookUp.url}', gated, name)
${code
  .replace('memoryStore()', 'gated')
  .replace('createBackchannelLogout({', 'createBackchannelLogout({ store: gated,')
  .replace(
    /(void|await) logout\.prepare\(\)/,
    `for (const name of ['bind', 'signOn']) behind('${login.url}', logout, name)`,
  )}`
      : code

export function describeBadMoments(name: string, options: StackOptions): void {
  describe(name, () => {
    let stack: Stack
    let gates: Gates

    beforeAll(async () => {
      gates = { login: await startGate(), lookUp: await startGate() }
      const change = (code: string) => withGates(gates)(options.change?.(code) ?? code)
      stack = await startStack(options.recipe ?? name, { ...options, change })
    })

    afterAll(async () => {
      await stack?.stop()
      await gates.login.close()
      await gates.lookUp.close()
    })

    it('a logout while the login is being finished: nobody is signed in, and the next login lives', async () => {
      const browser = new Browser()
      stack.op.nextUser = 'ada'
      const held = gates.login.hold()
      const login = browser.get(`${stack.origin}/login`)
      await held
      await logOutAtTheOp(stack, browser)
      gates.login.open()
      const { status, at } = options.lateLogin ?? { status: 403, at: '/callback' }
      expect(await login).toMatchObject({ status, url: expect.stringContaining(at) })
      expect(await who(stack, browser)).toBe(401)
      await signIn(stack, 'ada', browser)
      expect(await who(stack, browser)).toBe('ada')
    })

    it('no verdict: 503 with Retry-After, and the session is kept', async () => {
      const browser = await signIn(stack, 'ada')
      const unchanged = browser.copy()
      gates.lookUp.refuse()
      const page = await browser.get(`${stack.origin}/me`)
      gates.lookUp.open()
      expect(page.status).toBe(503)
      expect(page.headers.get('retry-after')).toBe('1')
      expect(page.text).not.toContain('ada')
      expect(await who(stack, browser)).toBe('ada')
      expect(await who(stack, unchanged)).toBe('ada')
    })
  })
}
