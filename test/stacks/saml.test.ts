// Both programs of the recipe for SAML, run as the page has them, beside a real identity provider: sign in with several
// browsers, log out at either side, and see who is left.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keysOf } from '../saml/keys.js'
import { Browser, type Page } from './browser.js'
import { type RunningProgram, reserveOrigin, run, unpack } from './recipe.js'
import { type SamlIdp, startSamlIdp } from './saml-idp.js'

interface Stack {
  readonly origin: string
  readonly idp: SamlIdp
  readonly program: RunningProgram
}

async function startStack(entry: string, change?: (code: string) => string): Promise<Stack> {
  const { origin, socket } = await reserveOrigin()
  const idp = await startSamlIdp(origin)
  const env = {
    BASE_URL: origin,
    SESSION_SECRET: 'a secret of more than thirty-two characters',
    SP_KEY: keysOf('sp').key,
    IDP_CERT: keysOf('idp').cert,
    IDP_ENTITY_ID: idp.entityId,
    IDP_SSO_URL: idp.ssoUrl,
    IDP_SLO_URL: idp.sloUrl,
  }
  return { origin, idp, program: await run({ folder: unpack('saml', change), entry, socket, env }) }
}

/** What the identity provider's script does: it submits its form. */
async function through(browser: Browser, page: Page): Promise<Page> {
  const action = /<form method="post"[^>]* action="([^"]+)"/.exec(page.text)?.[1]
  if (action === undefined) return page
  const inputs = [...page.text.matchAll(/name="(\w+)"\s+value="([^"]*)"/g)]
  return through(
    browser,
    await browser.post(action, Object.fromEntries(inputs.map(([, name, value]) => [name, value]))),
  )
}

async function signIn({ origin, idp }: Stack, user: string, browser = new Browser()): Promise<Browser> {
  idp.nextUser = user
  const page = await through(browser, await browser.get(`${origin}/login`))
  expect({ status: page.status, url: page.url, user: page.text }).toEqual({ status: 200, url: `${origin}/me`, user })
  return browser
}

const who = async ({ origin }: Stack, browser: Browser) => {
  const { status, text } = await browser.get(`${origin}/me`)
  return status === 200 ? text : status
}

describe.each(['app.ts', 'passport.ts'])('%s', (entry) => {
  let stack: Stack

  beforeAll(async () => {
    stack = await startStack(entry)
  })

  afterAll(async () => {
    await stack?.program.stop()
    await stack?.idp.close()
  })

  it.each(['slo', 'slo-by-post'])(
    'a logout at the identity provider (%s) ends that sign-on, the thief included, and no other',
    async (path) => {
      const { idp } = stack
      const laptop = await signIn(stack, 'ada')
      const phone = await signIn(stack, 'ada')
      const other = await signIn(stack, 'grace')
      const thief = laptop.copy()
      const before = idp.sessions.size
      const page = await through(laptop, await laptop.get(`${new URL(idp.sloUrl).origin}/${path}`))
      expect({ url: page.url.split('?')[0], status: page.status }).toEqual({ url: idp.sloUrl, status: 200 })
      expect(idp.sessions.size).toBe(before - 1)
      expect(await who(stack, thief)).toBe(401)
      expect(await who(stack, laptop)).toBe(401)
      expect(await who(stack, phone)).toBe('ada')
      expect(await who(stack, other)).toBe('grace')

      await signIn(stack, 'ada', laptop)
      expect(await who(stack, thief)).toBe(401)
    },
  )

  // Core 2.7.2 wants the same few indexes to be given again and again, so that nobody is followed by them.
  it('a login that was begun after the logout stands, though its SessionIndex is the one that was logged out', async () => {
    const { idp } = stack
    idp.nextIndex = 'again'
    try {
      const laptop = await signIn(stack, 'ada')
      const thief = laptop.copy()
      await through(laptop, await laptop.get(idp.sloUrl))
      expect(await who(stack, thief)).toBe(401)
      await signIn(stack, 'ada', laptop)
      expect(await who(stack, laptop)).toBe('ada')
      expect(await who(stack, thief)).toBe(401)
    } finally {
      idp.nextIndex = undefined
    }
  })

  it('a logout that begins here ends the session here and at the identity provider, and lands on our page', async () => {
    const { origin, idp } = stack
    const laptop = await signIn(stack, 'ada')
    const phone = await signIn(stack, 'ada')
    const thief = laptop.copy()
    const before = idp.sessions.size
    const page = await laptop.post(`${origin}/logout`)
    expect({ url: page.url, text: page.text }).toEqual({
      url: `${origin}/signed-out/done`,
      text: 'You are signed out.',
    })
    expect(idp.sessions.size).toBe(before - 1)
    expect(await who(stack, thief)).toBe(401)
    expect(await who(stack, laptop)).toBe(401)
    expect(await who(stack, phone)).toBe('ada')
    // Nobody is signed in there either: whoever comes next is asked.
    await signIn(stack, 'grace', laptop)
  })

  it('ends the session here though the identity provider does not answer', async () => {
    const laptop = await signIn(stack, 'ada')
    const thief = laptop.copy()
    const headers = { cookie: laptop.cookie(stack.origin) }
    const answer = await fetch(`${stack.origin}/logout`, { method: 'POST', headers, redirect: 'manual' })
    expect(answer.headers.get('location')).toContain(`${stack.idp.sloUrl}?SAMLRequest=`)
    expect(await who(stack, thief)).toBe(401)
  })

  it('refuses what is not a logout, and nobody is signed out by it', async () => {
    const laptop = await signIn(stack, 'ada')
    const url = `${stack.origin}/saml/slo`
    const refused = [
      await fetch(`${url}?SAMLRequest=nonsense`),
      await fetch(url),
      await fetch(url, { method: 'POST', body: new URLSearchParams({ SAMLRequest: 'nonsense' }) }),
      await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
    ]
    for (const answer of refused) {
      expect(answer.status).toBe(400)
      expect(answer.headers.get('cache-control')).toContain('no-store')
      expect(answer.headers.get('set-cookie')).toBeNull()
    }
    expect((await fetch(url, { method: 'PUT' })).status).toBe(405)
    expect(await who(stack, laptop)).toBe('ada')
  })

  it('there is nothing to complain of at the identity provider', () => {
    expect(stack.idp.complaints).toEqual([])
  })
})

describe('what these tests are worth: without its bind, a thief stays signed in', () => {
  it.each(['app.ts', 'passport.ts'])('%s', async (entry) => {
    const stack = await startStack(entry, (code) => code.replace(/await logout\.bind\(.*\)$/m, '{ ended: false }'))
    try {
      const laptop = await signIn(stack, 'ada')
      const thief = laptop.copy()
      await laptop.get(stack.idp.sloUrl)
      expect(await who(stack, thief)).toBe('ada')
    } finally {
      await stack.program.stop()
      await stack.idp.close()
    }
  })
})
