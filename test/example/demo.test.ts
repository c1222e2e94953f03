import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, logOutAtOp, type Page, signIn, textOf, whoIsAt } from './browser-by-http.js'
import { type Program, startProgram } from './program.js'

let demo: Program
let op: string
let shop: string
let forum: string

beforeAll(async () => {
  demo = startProgram('start.ts')
  await demo.printed(/Ctrl-C/)
  const urlOf = (name: string) => demo.stdout.match(new RegExp(`${name} +(http://127\\.0\\.0\\.1:\\d+)\\n`))?.[1] ?? ''
  op = urlOf('OpenID Provider')
  shop = urlOf('Shop')
  forum = urlOf('Forum')
})

afterAll(async () => {
  await demo.stop()
})

async function signedInAtBoth(name: string): Promise<Browser> {
  const browser = new Browser()
  for (const rp of [shop, forum]) {
    const home = await signIn(browser, rp, name)
    expect(home.status).toBe(200)
    expect(home.url.href).toBe(`${rp}/`)
  }
  return browser
}

const signedIn = (sub: string) => ({ status: 200, sub, sid: expect.stringMatching(/.{10,}/) })
const NOBODY = { status: 401 }

describe('a user signed in at both RPs from two browsers', () => {
  it('is logged out at the OP in one of them: exactly that browser’s sessions end', async () => {
    const [laptop, phone, grace] = await Promise.all([
      signedInAtBoth('Ada'),
      signedInAtBoth('Ada'),
      signedInAtBoth('Grace'),
    ])
    for (const rp of [shop, forum]) {
      expect(await whoIsAt(laptop, rp)).toEqual(signedIn('ada'))
      expect(await whoIsAt(phone, rp)).toEqual(signedIn('ada'))
      expect(await whoIsAt(grace, rp)).toEqual(signedIn('grace'))
      expect((await whoIsAt(laptop, rp)).sid).not.toBe((await whoIsAt(phone, rp)).sid)
    }

    const done = await logOutAtOp(laptop, op)

    expect(done.status).toBe(200)
    expect(textOf(done.text)).toContain('You are logged out')
    for (const rp of [shop, forum]) {
      expect(await whoIsAt(laptop, rp)).toEqual(NOBODY)
      expect(await whoIsAt(phone, rp)).toEqual(signedIn('ada'))
      expect(await whoIsAt(grace, rp)).toEqual(signedIn('grace'))
    }
  })

  it('signs in again at once, and the old cookies stay dead', async () => {
    const browser = await signedInAtBoth('Ada')
    const oldCookies = browser.copy()
    expect(await whoIsAt(oldCookies, shop)).toEqual(signedIn('ada'))

    await logOutAtOp(browser, op)
    expect(await whoIsAt(oldCookies, shop)).toEqual(NOBODY)
    expect(await whoIsAt(oldCookies, forum)).toEqual(NOBODY)

    for (const rp of [shop, forum]) await signIn(browser, rp, 'Ada')
    for (const rp of [shop, forum]) {
      expect(await whoIsAt(browser, rp)).toEqual(signedIn('ada'))
      expect(await whoIsAt(oldCookies, rp)).toEqual(NOBODY)
    }
    // Dead cookies are nobody's, not broken: they may sign in like any other browser.
    await signIn(oldCookies, shop, 'Grace')
    expect(await whoIsAt(oldCookies, shop)).toEqual(signedIn('grace'))
    expect(await whoIsAt(browser, shop)).toEqual(signedIn('ada'))
  })

  it('signs in again after a logout, and is logged out again', async () => {
    const browser = await signedInAtBoth('Linus')
    for (let round = 0; round < 3; round++) {
      await logOutAtOp(browser, op)
      expect(await whoIsAt(browser, shop)).toEqual(NOBODY)
      await signIn(browser, shop, 'Linus')
      expect(await whoIsAt(browser, shop)).toEqual(signedIn('linus'))
    }
  })
})

describe('a logout that begins at an RP', () => {
  const logOutAt = async (browser: Browser, rp: string): Promise<Page> =>
    browser.press(await browser.get(rp), 'Log out')

  it('everywhere: ends the other RP’s session, and comes back to a page that needs no session', async () => {
    const browser = await signedInAtBoth('Ada')
    const old = browser.copy()
    const question = await logOutAt(browser, shop)
    expect(question.url.origin).toBe(op)
    expect(await whoIsAt(old, shop)).toEqual(NOBODY)
    expect(await whoIsAt(old, forum)).toEqual(signedIn('ada'))

    const done = await browser.press(question, 'Log out everywhere')

    expect(`${done.url.origin}${done.url.pathname}`).toBe(`${shop}/logged-out`)
    expect(done.status).toBe(200)
    expect(textOf(done.text)).toContain('You are logged out')
    for (const rp of [shop, forum]) {
      expect(await whoIsAt(browser, rp)).toEqual(NOBODY)
      expect(await whoIsAt(old, rp)).toEqual(NOBODY)
    }
  })

  it('of that RP alone: the other one keeps its session', async () => {
    const browser = await signedInAtBoth('Ada')
    const done = await browser.press(await logOutAt(browser, shop), 'Only of Shop')
    expect(`${done.url.origin}${done.url.pathname}`).toBe(`${shop}/logged-out`)
    expect(await whoIsAt(browser, shop)).toEqual(NOBODY)
    expect(await whoIsAt(browser, forum)).toEqual(signedIn('ada'))
  })

  it('where nobody is signed in: leads to the logged-out page', async () => {
    const done = await new Browser().post(`${shop}/logout`)
    expect([done.status, done.url.href]).toEqual([200, `${shop}/logged-out`])
  })
})

describe('a sign-in', () => {
  it('that is cancelled leaves nobody signed in', async () => {
    const browser = new Browser()
    const page = await browser.press(await browser.get(`${shop}/login`), 'Cancel')
    expect([page.status, page.url.origin]).toEqual([400, shop])
    expect(await whoIsAt(browser, shop)).toEqual(NOBODY)
  })

  it('with another browser’s callback leaves nobody signed in', async () => {
    const attacker = new Browser()
    const asked = await attacker.get(`${shop}/login`)
    const answered = await attacker.request(asked.url, {
      method: 'POST',
      body: new URLSearchParams({ sub: 'grace' }),
    })
    const resumed = await attacker.request(answered.headers.get('location') ?? '')
    const callback = resumed.headers.get('location') ?? ''
    expect(callback).toMatch(/\/callback\?code=/)

    const victim = new Browser()
    await victim.get(`${shop}/login`)
    expect((await victim.get(callback)).status).toBe(400)
    expect(await whoIsAt(victim, shop)).toEqual(NOBODY)

    expect((await attacker.get(callback)).status).toBe(200)
    expect(await whoIsAt(attacker, shop)).toEqual(signedIn('grace'))
  })

  it('gets a new session id, and the id from before the sign-in is worth nothing', async () => {
    const browser = new Browser()
    const asked = await browser.get(`${shop}/login`)
    const fixed = browser.copy()
    await browser.press(asked, 'Ada')
    expect(await whoIsAt(browser, shop)).toEqual(signedIn('ada'))
    expect(await whoIsAt(fixed, shop)).toEqual(NOBODY)
  })
})

describe('the receiver of an RP', () => {
  it('needs no cookie, sets none, and refuses what is no Logout Token', async () => {
    const answer = await fetch(`${shop}/backchannel-logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: 'x' }),
    })
    expect(answer.status).toBe(400)
    expect(answer.headers.get('cache-control')).toContain('no-store')
    expect(answer.headers.getSetCookie()).toEqual([])
    const page = await fetch(`${shop}/backchannel-logout`)
    expect([page.status, page.headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('cookies', () => {
  it('of the OP and both RPs, which share a host, have different names, and scripts cannot read them', async () => {
    const browser = await signedInAtBoth('Ada')
    const names = browser.cookieNames(shop)
    expect(names.filter((name) => name.startsWith('rp_'))).toHaveLength(2)
    expect(names).toContain('op_session')
    const response = await new Browser().request(`${shop}/login`)
    const [setCookie = ''] = response.headers.getSetCookie()
    expect(setCookie).toMatch(/; HttpOnly/)
    expect(setCookie).toMatch(/; SameSite=Lax/)
  })
})

describe('the overview', () => {
  interface SignOn {
    readonly id: string
    readonly name: string
    readonly signedInAt: readonly string[]
    readonly kept: { readonly calls: number; readonly until: number } | null
  }
  interface State {
    readonly thisBrowser: string | null
    readonly signOns: readonly SignOn[]
  }
  const stateFor = async (browser: Browser): Promise<State> => {
    const response = await browser.request(`${op}/state`)
    return (await response.json()) as State
  }

  it('shows this browser’s sign-on and nothing of it after the logout', async () => {
    const browser = await signedInAtBoth('Linus')
    const before = await stateFor(browser)
    const mine = before.signOns.find(({ id }) => id === before.thisBrowser)
    expect(mine).toMatchObject({ name: 'Linus', signedInAt: ['shop', 'forum'] })

    await logOutAtOp(browser, op)

    const after = await stateFor(browser)
    expect(after.thisBrowser).toBeNull()
    expect(after.signOns.map(({ id }) => id)).not.toContain(mine?.id)
    expect(after.signOns).toHaveLength(before.signOns.length - 1)
  })

  it('shows what the API keeps of each browser’s token, and calls it with that token also after the logout', async () => {
    const [browser, elsewhere] = [await signedInAtBoth('Linus'), await signedInAtBoth('Linus')]
    const mineOf = async (of: Browser) => {
      const { signOns, thisBrowser } = await stateFor(of)
      return signOns.find(({ id }) => id === thisBrowser)
    }
    const [mine, theirs] = [await mineOf(browser), await mineOf(elsewhere)]
    const callBy = async (of: Browser) => (await of.request(`${op}/call`, { method: 'POST' })).json()
    expect([mine?.kept, theirs?.kept]).toEqual([null, null])
    expect(await callBy(browser)).toEqual({ status: 200 })
    expect(await callBy(browser)).toEqual({ status: 200 })
    expect(await callBy(elsewhere)).toEqual({ status: 200 })
    expect((await mineOf(browser))?.kept).toMatchObject({ calls: 2 })
    expect((await mineOf(elsewhere))?.kept).toMatchObject({ calls: 1 })

    await logOutAtOp(browser, op)

    // Whoever looks meanwhile, the other browser's call is not forgotten.
    expect((await mineOf(elsewhere))?.kept).toMatchObject({ calls: 1 })
    expect(await callBy(browser)).toEqual({ status: 401 })
    expect(await callBy(elsewhere)).toEqual({ status: 200 })
    // The answer about it was asked for again; its calls are counted on.
    expect((await mineOf(elsewhere))?.kept).toMatchObject({ until: expect.any(Number), calls: 2 })
    expect((await stateFor(browser)).signOns.map(({ id }) => id)).not.toContain(mine?.id)
    expect(await callBy(new Browser())).toEqual({ status: 401 })
  })

  it('tells live what happened at each RP: Logout Token received, session ended, answer given', async () => {
    const browser = await signedInAtBoth('Ada')
    const events = await newEntries(`${op}/events`)

    await logOutAtOp(browser, op)

    await events.until((entry) => entry.text.startsWith('Ada is logged out'))
    const told = events.seen
    for (const rp of ['shop', 'forum']) {
      expect(told.filter(({ source }) => source === rp).map(({ text }) => text)).toEqual([
        'Logout Token received',
        '1 session ended',
        expect.stringMatching(/^Answered 200 after \d+\sms$/),
      ])
    }
    expect(told.at(-1)?.text).toBe('Ada is logged out, confirmed by Forum and Shop')
    await events.close()
  })

  it('serves its page, style and script', async () => {
    for (const [path, type] of [
      ['/', 'text/html'],
      ...['overview', 'stage', 'board', 'trials', 'timeline', 'tokens'].flatMap((name) => [
        [`/${name}.css`, 'text/css'] as const,
        [`/${name}.js`, 'text/javascript'] as const,
      ]),
      ['/element.js', 'text/javascript'],
    ]) {
      const response = await fetch(op + path)
      expect([path, response.status]).toEqual([path, 200])
      expect(response.headers.get('content-type')).toContain(type)
      await response.text()
    }
  })
})

interface Entry {
  readonly source: string
  readonly text: string
}

/** What is told from now on: earlier entries would be sent to a stream that did not name a last one. */
async function newEntries(url: string) {
  const abort = new AbortController()
  const response = await fetch(url, { signal: abort.signal, headers: { 'last-event-id': '999999' } })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const seen: Entry[] = []
  let rest = ''
  const read = async () => {
    const chunk = await reader?.read()
    const blocks = (rest + (chunk?.value ?? '')).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const data = block.match(/^event: activity\ndata: (.*)$/m)?.[1]
      if (data !== undefined) seen.push(JSON.parse(data))
    }
    if (chunk === undefined || chunk.done) throw new Error('The event stream ended')
  }
  return {
    seen,
    until: async (matches: (entry: Entry) => boolean) => {
      while (!seen.some(matches)) await read()
    },
    close: async () => {
      abort.abort()
      await reader?.closed.catch(() => {})
    },
  }
}
