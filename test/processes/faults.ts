// What four processes on one store owe their users, whatever fails: after each fault there was no 200 without the
// logout, nobody is let in after a 200 (strict: at once, bounded: by B), nobody else is out, and the OP's retry
// completes.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { DOORS, type LoginStep, type Step } from './rp.js'
import {
  BOUND_SECONDS,
  type Browser,
  boundPassed,
  eventually,
  everywhere,
  PLACES,
  type Place,
  Site,
  sessionIdOf,
  type User,
} from './site.js'
import type { StoreKind, StoreServer } from './store-servers.js'
import { Watch } from './watch.js'

interface Death {
  readonly step: Step
  readonly door: Place['door']
  /** How the OP's retry may be answered: as a replay only where the logout had been completed, its rows deleted. */
  readonly retries: readonly ('done' | 'replay')[]
}

/** Replies of the store that never come, at the door whose logout it completes by that call. */
const LOST_REPLIES = [
  { step: 'begin, its reply lost', door: 'bounded' },
  { step: 'complete, its reply lost', door: 'strict' },
] as const

/** The store of the bounded door destroys the sessions by itself: one round trip, and the logout is completed. */
const DEATHS: readonly Death[] = [
  { step: 'before begin', door: 'strict', retries: ['done'] },
  { step: 'begin sent', door: 'strict', retries: ['done'] },
  { step: 'after begin', door: 'strict', retries: ['done'] },
  { step: 'after the first destroy', door: 'strict', retries: ['done'] },
  { step: 'before complete', door: 'strict', retries: ['done'] },
  { step: 'before the answer', door: 'strict', retries: ['replay'] },
  { step: 'begin sent', door: 'bounded', retries: ['done', 'replay'] },
  // Done where a row was held by a request for too long: then it was left to the process that died.
  { step: 'after begin', door: 'bounded', retries: ['done', 'replay'] },
]

/** What `mustBeBound` is for: a row with a user in it that no logout finds. A login that was bound is found. */
const LOGIN_DEATHS: readonly { readonly step: LoginStep; readonly before: readonly number[] }[] = [
  { step: 'row saved, before bind', before: [401] },
  { step: 'bind sent', before: [200, 401] },
]

/** One more than a page of any store holds. */
const MORE_THAN_A_PAGE = 1001

const near: Place = { node: 0, door: 'strict' }
const far: Place = { node: 2, door: 'strict' }
const isAny = () => true
const isFar = ({ node }: Place) => node >= 2
const isBounded = ({ door }: Place) => door === 'bounded'

export function describeFaults({ name: storeKind, describe, start }: StoreKind): void {
  describe()(`four processes on ${storeKind}`, () => {
    let server: StoreServer
    let site: Site
    let user: User
    let strangers: User
    const worst = { strict: 0, bounded: 0 }

    beforeAll(async () => {
      server = await start()
      site = await Site.start({ storeKind, port: server.port, url: server.url })
    })
    beforeEach(async () => {
      await site.ready()
      strangers = await site.signInUser([near, { node: 3, door: 'bounded' }])
      user = await site.signInUser([near, { node: 1, door: 'bounded' }, { node: 2, door: 'bounded' }])
    })
    afterAll(async () => {
      await site?.stop()
      await server?.stop()
      process.stdout.write(
        `${storeKind}: the last use that was let in began at most ${worst.strict.toFixed(3)} s (strict) and ` +
          `${worst.bounded.toFixed(3)} s (bounded, B = ${BOUND_SECONDS} s) after the 200\n`,
      )
    })

    const rowsOf = async ({ browsers }: User) =>
      (await Promise.all(browsers.map((browser) => server.hasRow(sessionIdOf(browser))))).filter(Boolean).length

    /**
     * Has a user logged out while all doors are in use, and then asserts everything that is owed. `logout` resolves to
     * when the OP had its 200.
     */
    async function loggedOut(who: User, logout: (watch: Watch) => Promise<number>): Promise<{ bounded: number }> {
      const watch = new Watch(site, who.browsers)
      let acknowledged: number
      try {
        acknowledged = await logout(watch)
        await eventually('a refusal everywhere', async () => (watch.isRefusedAt(isAny) ? true : undefined))
      } finally {
        await watch.stop()
      }
      const strict = watch.worst(acknowledged, (place) => !isBounded(place))
      const bounded = watch.worst(acknowledged, isBounded)
      worst.strict = Math.max(worst.strict, strict)
      worst.bounded = Math.max(worst.bounded, bounded)
      expect(strict).toBe(0)
      expect(bounded).toBeLessThanOrEqual(BOUND_SECONDS)
      for (const browser of who.browsers) expect(await served(browser)).toEqual([])
      return { bounded }
    }

    /** The doors that serve a browser, in both ways. */
    async function served(browser: Browser): Promise<readonly string[]> {
      const found = await everywhere(async (place, way) =>
        (await site.isServed(place, browser, way)) ? [`${place.node} ${place.door} ${way}`] : [],
      )
      return found.flat()
    }

    /** Called as soon as the OP has its 200. */
    async function now(): Promise<number> {
      const acknowledged = performance.now()
      expect(await rowsOf(user)).toBe(0)
      return acknowledged
    }

    async function expectOthersServed(): Promise<void> {
      site.restore()
      for (const browser of strangers.browsers) await site.served(browser)
      const again = await site.signIn(far, user.sub, undefined, 2)
      await site.served(again)
    }

    it.each(DEATHS)(
      'killed $step ($door door): the retry at another node completes',
      async ({ step, door, retries }) => {
        const token = await site.logoutToken(user)
        await loggedOut(user, async () => {
          await site.doom(0, step)
          expect((await site.deliver({ node: 0, door }, token)).status).toBe(0)
          await site.death(0)
          const rows = await rowsOf(user)
          const retry = await site.deliverUntilDone({ node: 1, door: 'strict' }, token)
          expect(retries).toContain(retry)
          if (retry === 'replay') expect(rows).toBe(0)
          return now()
        })
        await expectOthersServed()
      },
    )

    it.each(LOGIN_DEATHS)(
      'killed in a login ($step): no node believes its cookie, or a logout ends it',
      async (died) => {
        const lost = await site.signInUntilDeath(near, died.step)
        const [browser] = lost.browsers
        if (browser === undefined) throw new Error('no browser')
        expect(await server.hasRow(sessionIdOf(browser))).toBe(true)
        /** Of each door, once it has a verdict. */
        const answers = async () =>
          new Set(
            await Promise.all(
              PLACES.map((place) =>
                eventually('a verdict', async () => {
                  const status = await site.use(place, browser, 'cookie')
                  return status === 200 || status === 401 ? status : undefined
                }),
              ),
            ),
          )
        const believed = await answers()
        expect(died.before).toEqual(expect.arrayContaining([...believed]))
        expect(believed.size).toBe(1)
        expect(await site.deliverUntilDone(far, await site.logoutToken(lost))).toBe('done')
        await eventually('a refusal everywhere', async () => ((await answers()).has(200) ? undefined : true))
        // The row of a login that was never bound is believed by nobody, and stays: a login may be at that very point.
        expect(await server.hasRow(sessionIdOf(browser))).toBe(!believed.has(200))
        await expectOthersServed()
      },
    )

    it.each(DOORS)(
      'killed between two pages of a user with many sessions (%s door): nobody is let in, and the retry at another node completes',
      async (door) => {
        const more = await site.signInMore({ node: 0, door }, user, MORE_THAN_A_PAGE)
        // PostgreSQL goes by session ids, a thousand at a time: the last one is in the second page, whichever they are.
        const samples = [...more.filter((_, i) => i % 50 === 0), ...more.toSorted().slice(-1)]
        const left = async () => (await Promise.all(samples.map(server.hasRow))).filter(Boolean).length
        expect(await left()).toBe(samples.length)
        const token = await site.logoutToken(user)
        await loggedOut(user, async () => {
          await site.doom(0, 'before the second page')
          const { status } = await site.deliver({ node: 0, door }, token)
          expect(status).not.toBe(200)
          await site.death(0)
          // What it had not come to is there, and lets nobody in: the mark was first. Where a page takes longer than
          // the answer may, the OP heard so before, and the page was begun anew.
          if (status === 0) expect(await left()).toBeGreaterThan(0)
          for (const browser of user.browsers) expect(await site.isServed(far, browser, 'cookie')).toBe(false)
          expect(await site.deliverUntilDone({ node: 1, door }, token)).toBe('done')
          expect(await left()).toBe(0)
          return now()
        })
        await expectOthersServed()
      },
    )

    it.each(LOST_REPLIES)(
      '$step ($door door): the OP hears of a failure, and at its next try elsewhere of success',
      async ({ step, door }) => {
        const token = await site.logoutToken(user)
        await loggedOut(user, async () => {
          await site.doom(0, step)
          expect((await site.deliver({ node: 0, door }, token)).status).toBe(400)
          expect((await site.deliver(far, token)).status).toBe(200)
          const acknowledged = await now()
          // The node that told the OP of a failure opens the jti once more when it finds out, before or after that
          // 200: a repeat may be answered by another 200 then, which does no harm, and from there on they are replays.
          await eventually('a replay', async () =>
            (await site.deliver(far, token)).said.includes('used before') ? true : undefined,
          )
          return acknowledged
        })
        await expectOthersServed()
      },
    )

    it('the store crashes: what it acknowledged stands, what it did not is not acknowledged, and the retry completes', async () => {
      const earlier = await site.signInUser([near, far])
      await loggedOut(earlier, async () => {
        expect((await site.deliver(near, await site.logoutToken(earlier))).status).toBe(200)
        const acknowledged = performance.now()
        const token = await site.logoutToken(user)
        await loggedOut(user, async () => {
          await server.kill()
          expect((await site.deliver(near, token)).status).not.toBe(200)
          await server.restart()
          expect(await site.deliverUntilDone(far, token)).toBe('done')
          return now()
        })
        return acknowledged
      })
      await expectOthersServed()
    })

    it('a connection is cut in the middle of a logout: the retry elsewhere completes, and cut nodes let nobody in for long', async () => {
      const token = await site.logoutToken(user)
      await loggedOut(user, async (watch) => {
        site.lines.nearStore.slowDown(400)
        const first = site.deliver(near, token)
        const isMarked = async () =>
          watch.isRefusedAt((place) => isFar(place) && !isBounded(place)) ? true : undefined
        await eventually('a mark', isMarked)
        site.lines.nearStore.cut()
        site.lines.nearSessions.cut()
        expect((await first).status).not.toBe(200)
        expect(await site.deliverUntilDone(far, token)).toBe('done')
        const acknowledged = await now()
        await boundPassed(acknowledged)
        site.restore()
        return acknowledged
      })
      await expectOthersServed()
    })

    it('pulls fail: a node that hears of nothing stops letting anybody in by B', async () => {
      const token = await site.logoutToken(user, 'sid')
      const { bounded } = await loggedOut(user, async () => {
        site.lines.farStore.stall()
        expect((await site.deliver(near, token)).status).toBe(200)
        const acknowledged = await now()
        await boundPassed(acknowledged)
        // No verdict is no entry: strangers have to wait as well.
        for (const browser of strangers.browsers) {
          expect(await site.use({ node: 3, door: 'bounded' }, browser, 'record')).toBe(503)
        }
        site.restore()
        return acknowledged
      })
      // The replica did answer meanwhile: otherwise this would show nothing.
      expect(bounded).toBeGreaterThan(0)
      await expectOthersServed()
    })

    it('a slow store: no 200 before the logout is done, and one for the retry', async () => {
      const token = await site.logoutToken(user)
      await loggedOut(user, async () => {
        site.lines.nearStore.slowDown(400)
        site.lines.nearSessions.slowDown(400)
        expect((await site.deliver(near, token)).status).not.toBe(200)
        expect(await site.deliverUntilDone(near, token)).toBe('done')
        return now()
      })
      await expectOthersServed()
    })

    it('a store that stands still and goes on: no 200 meanwhile, and one for the retry', async () => {
      const token = await site.logoutToken(user)
      await loggedOut(user, async () => {
        site.lines.nearStore.stall()
        expect((await site.deliver(near, token)).status).not.toBe(200)
        site.restore()
        expect(await site.deliverUntilDone(near, token)).toBe('done')
        return now()
      })
      await expectOthersServed()
    })

    it('doorbells are lost: nothing depends on them', async () => {
      site.lines.doorbells.cut()
      await loggedOut(user, async () => {
        expect((await site.deliver(near, await site.logoutToken(user))).status).toBe(200)
        return now()
      })
      await expectOthersServed()
    })

    it('requests under way on all nodes save their sessions after the 200: none of them comes back', async () => {
      const busy = await site.signInUser(PLACES)
      const requests = await Promise.all(
        PLACES.map(async (place, i) => {
          const browser = busy.browsers[i]
          if (browser === undefined) throw new Error('no browser')
          return site.slowRequest(place, browser)
        }),
      )
      await loggedOut(busy, async () => {
        expect((await site.deliver(near, await site.logoutToken(busy))).status).toBe(200)
        const acknowledged = performance.now()
        expect(await rowsOf(busy)).toBe(0)
        await site.finishSlowRequests()
        await Promise.all(requests.map(({ answered }) => answered))
        return acknowledged
      })
      await eventually('an end of their rows', async () => ((await rowsOf(busy)) === 0 ? true : undefined))
      await expectOthersServed()
    })
  })
}
