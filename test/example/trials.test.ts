// The trials of the demo, by HTTP: what each application says afterwards, in this browser and by both names of the
// host.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Demo, startDemo } from '../../example-app/demo.js'
import { HttpBrowser } from '../../example-app/http-browser.js'
import { checked } from '../../example-app/token-checks.js'
import { TRIALS } from '../../example-app/trial-list.js'
import { named, otherName } from '../../example-app/two-names.js'

let demo: Demo
let rps: Record<'Shop' | 'Forum' | 'Notes', string>

beforeAll(async () => {
  demo = await startDemo()
  const urlOf = (name: string) => demo.places.find((place) => place.name === name)?.url ?? ''
  rps = { Shop: urlOf('Shop'), Forum: urlOf('Forum'), Notes: urlOf('Notes') }
})
afterAll(() => demo.close())

interface Report {
  readonly id: string
  readonly who: string
  readonly outcomes: readonly { readonly name: string; readonly good: boolean; readonly status?: number }[]
}
interface State {
  readonly here: { readonly name: string | null; readonly signedInAt: string[]; readonly leftAt: string[] }
  readonly signOns: readonly { readonly atOp: boolean; readonly signedInAt: string[] }[]
  readonly tokens: readonly {
    clientId: string
    status: number
    claims: { jti?: string; sub: string }
    checks: { title: string; state: string }[]
  }[]
  readonly reports: readonly Report[]
  readonly totals: readonly { readonly name: string; readonly right: number; readonly runs: number }[]
}

async function run(browser: HttpBrowser, id: string, op = demo.issuer): Promise<Report> {
  const response = await browser.request(`${op}/trials/${id}`, { method: 'POST' })
  expect(response.status).toBe(200)
  return (await response.json()) as Report
}
const stateOf = async (browser: HttpBrowser) => (await (await browser.request(`${demo.issuer}/state`)).json()) as State
const stoppedAt = ({ tokens }: State, clientId: string) => {
  const exchange = tokens.find((token) => token.clientId === clientId)
  return [exchange?.status, exchange?.checks.find(({ state }) => state === 'failed')?.title]
}

describe('a trial', () => {
  // Shop first, then Notes: whether it did right.
  it.each<[string, boolean, boolean]>([
    ['upload', true, false],
    ['during-sign-in', true, false],
    ['store-down', true, false],
    ['retry', true, false],
    ['forged', true, true],
    ['id-token', true, false],
    ['replay', true, false],
    ['device', true, true],
  ])('%s', async (id, shop, notes) => {
    const { outcomes } = await run(new HttpBrowser(), id)
    expect(outcomes.map(({ name, good }) => [name, good])).toEqual([
      ['Shop', shop],
      ['Notes', notes],
    ])
  })

  it('is there for each button, and for no other name', async () => {
    const listed = (await (await fetch(`${demo.issuer}/trials`)).json()) as { id: string }[]
    expect(listed.map(({ id }) => id)).toEqual(TRIALS.map(({ id }) => id))
    const unknown = await fetch(`${demo.issuer}/trials/none-such`, { method: 'POST' })
    expect(unknown.status).toBe(404)
    await unknown.text()
  })

  it('is not begun by another site in a browser’s name', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' }
    for (const id of ['sign-in', 'upload']) {
      const answer = await fetch(`${demo.issuer}/trials/${id}`, { method: 'POST', headers })
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
      await answer.text()
    }
  })

  it('leaves its sessions to the browser in whose place it was: Notes goes on greeting, as the state says', async () => {
    const browser = new HttpBrowser()
    await run(browser, 'upload')
    expect(await browser.whoAt(rps.Shop)).toEqual({ status: 401 })
    expect(await browser.whoAt(rps.Notes)).toMatchObject({ status: 200, sub: 'ada' })
    const state = await stateOf(browser)
    expect(state.here).toMatchObject({ name: 'Ada', signedInAt: ['notes'], leftAt: ['notes'] })
    // It is shown once: as this browser's.
    const others = await stateOf(new HttpBrowser())
    expect(others.signOns.filter(({ atOp }) => !atOp)).toHaveLength(
      state.signOns.filter(({ atOp }) => !atOp).length + 1,
    )
  })

  it('is made for whoever is signed in', async () => {
    const browser = new HttpBrowser()
    await browser.signIn(rps.Forum, 'grace')
    expect((await run(browser, 'upload')).who).toBe('Grace')
    // She has been logged out by it: the next one is hers all the same.
    expect((await run(browser, 'upload')).who).toBe('Grace')
  })

  it('tells Notes of the logout each time, also where Notes still has a session of the time before', async () => {
    const browser = new HttpBrowser()
    const jtis = new Set<string | undefined>()
    for (let time = 0; time < 2; time++) {
      expect((await run(browser, 'upload')).outcomes.map(({ status }) => status)).toEqual([401, 200])
      const { tokens } = await stateOf(browser)
      for (const { claims } of tokens) jtis.add(claims.jti)
    }
    expect(jtis.size).toBe(4)
  })

  it('is remembered for the visitor, with how often each application did right', async () => {
    const browser = new HttpBrowser()
    for (const id of ['upload', 'forged', 'upload']) await run(browser, id)
    const { reports, totals } = await stateOf(browser)
    expect(reports.map(({ id }) => id)).toEqual(['forged', 'upload'])
    expect(totals).toMatchObject([
      { name: 'Shop', right: 3, runs: 3 },
      { name: 'Notes', right: 1, runs: 3 },
    ])
  })
})

describe('two visitors at once', () => {
  it('have each their own tokens and results, and are told what the other did as that', async () => {
    const [ada, grace, nobody] = [new HttpBrowser(), new HttpBrowser(), new HttpBrowser()]
    await grace.signIn(rps.Shop, 'grace')
    const reports = await Promise.all([run(ada, 'device'), run(grace, 'id-token')])
    expect(reports.map(({ who, outcomes }) => [who, outcomes.map(({ good }) => good)])).toEqual([
      ['Ada', [true, true]],
      ['Grace', [true, false]],
    ])
    const seen = async (browser: HttpBrowser) => {
      const { tokens, reports } = await stateOf(browser)
      return [tokens.map(({ claims }) => claims.sub), reports.map(({ id }) => id)]
    }
    expect(await seen(ada)).toEqual([['ada', 'ada'], ['device']])
    expect(await seen(grace)).toEqual([['grace', 'grace'], ['id-token']])
    expect(await seen(nobody)).toEqual([[], []])

    // What Grace was told up to her own trial: hers is hers, Ada's is another's, and whose cookie that was is not said.
    const told = await toldUntil(grace, '"source":"you","tone":"begin","text":"An ID Token instead"')
    expect(told).toContain('"source":"another","tone":"begin","text":"A second device"')
    expect(told).not.toContain('"source":"you","tone":"begin","text":"A second device"')
    expect(told).not.toContain('"by"')
  })

  async function toldUntil(browser: HttpBrowser, last: string): Promise<string> {
    const stream = await browser.request(`${demo.issuer}/events`)
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes(last)) text += (await reader?.read())?.value ?? ''
    await reader?.cancel()
    return text
  }
})

describe('the checks of the last token', () => {
  it('are all passed where the logout was done, and by hand only five are made', async () => {
    const browser = new HttpBrowser()
    await run(browser, 'device')
    const { tokens } = await stateOf(browser)
    const states = (clientId: string) => tokens.find((token) => token.clientId === clientId)?.checks.map((c) => c.state)
    expect(new Set(states('shop'))).toEqual(new Set(['passed']))
    expect(states('notes')?.filter((state) => state === 'passed')).toHaveLength(5)
  })

  // At the Shop and at Notes: the answer, and the check that failed.
  it.each([
    ['forged', [400, 'Signature by the provider’s own key'], [400, 'Signature by the provider’s own key']],
    ['id-token', [400, 'Says that this is a logout'], [200, undefined]],
    ['replay', [400, 'Was not used before'], [200, undefined]],
  ])('say where it stopped: %s', async (id, shop, notes) => {
    const browser = new HttpBrowser()
    await run(browser, id)
    const state = await stateOf(browser)
    expect([stoppedAt(state, 'shop'), stoppedAt(state, 'notes')]).toEqual([shop, notes])
  })

  it('have a row for every reason for which a token is refused', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    const about = page.split('\n## ').find((section) => section.startsWith('ERR_TOKEN\n')) ?? ''
    const reasons = [...about.matchAll(/^\| `(\w+)` \|/gm)].flatMap(([, reason = '']) =>
      reason === 'reason' ? [] : reason,
    )
    expect(reasons.length).toBeGreaterThan(50)
    const lost = reasons.filter((because) => checked({ because }, false).every(({ state }) => state !== 'failed'))
    expect(lost).toEqual([])
  })
})

describe('the other name of this machine', () => {
  it('is a second browser: signed in and out by itself, at the applications and at the provider', async () => {
    const [first, second] = [new HttpBrowser(), new HttpBrowser()]
    const shopToo = otherName(rps.Shop)
    expect(new URL(shopToo).hostname).toBe('localhost')
    await first.signIn(rps.Shop, 'ada')
    const home = await second.signIn(shopToo, 'ada')
    expect(home.url.href).toBe(`${shopToo}/`)
    expect(home.text).toContain(`<a href="${otherName(demo.issuer)}">Back to the overview</a>`)
    await first.logOut(demo.issuer)
    expect((await first.whoAt(rps.Shop)).status).toBe(401)
    expect((await second.whoAt(shopToo)).status).toBe(200)
    await second.logOut(otherName(demo.issuer))
    expect((await second.whoAt(shopToo)).status).toBe(401)
  })

  it('has trials of its own', async () => {
    const browser = new HttpBrowser()
    const { outcomes } = await run(browser, 'upload', otherName(demo.issuer))
    expect(outcomes.map(({ good }) => good)).toEqual([true, false])
    expect((await browser.whoAt(named(rps.Notes, 'localhost'))).status).toBe(200)
  })
})
