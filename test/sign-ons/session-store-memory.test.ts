// Several receivers over one session store, on each kind of logout store: one for each provider, or one that was made
// twice. What one of them knows of a session the others do not undo.
import type { Request } from 'express'
import session from 'express-session'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  createBackchannelLogout,
  expressSessions,
  type LogoutStore,
  memoryStore,
  type ProviderOptions,
} from '../../src/index.js'
import { SessionStoreMemory } from '../../src/sign-ons/session-store-memory.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'
import {
  clientId,
  issuer,
  providerAt,
  type Receiver,
  regenerate,
  type SmallApplication,
  startSmallApplication,
} from './small-application.js'

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

type Make = (provider: ProviderOptions | ((iss: string) => Promise<ProviderOptions | undefined>)) => Receiver
const asFunction = async (iss: string) => (iss === issuer ? providerAt() : undefined)

const madeTwice = (make: Make) => {
  const receiver = make(providerAt())
  make(providerAt())
  return receiver
}

/** The receiver whose `bind` the application calls, and whom the OP tells. */
const SETUPS: Readonly<Record<string, (make: Make) => Receiver>> = {
  'one receiver': (make) => make(providerAt()),
  'one for each of two providers': (make) => {
    make(providerAt('https://other.example'))
    return make(providerAt())
  },
  'one for each of two providers, the other one made later': (make) => {
    const receiver = make(providerAt())
    make(providerAt('https://other.example'))
    return receiver
  },
  'one that was made twice, and the application keeps the first': madeTwice,
  'one by a function, made twice': (make) => {
    make(asFunction)
    return make(asFunction)
  },
  'one by a function, made anew and the first closed afterwards': (make) => {
    const first = make(asFunction)
    const second = make(asFunction)
    first.close()
    return second
  },
}

let users = 0
const newUser = (name: string) => ({ sub: `${name} ${++users}`, sid: `session ${users}` })

for (const { name, describe: describeStore, start } of LOGOUT_STORES) {
  describeStore()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    /** `apart`: each receiver has an object of its own for the same store. */
    async function setUp(setup: (make: Make) => Receiver, apart: boolean): Promise<[SmallApplication, Receiver]> {
      const rows = new session.MemoryStore()
      const opened = server.open()
      const make: Make = (provider) => {
        const store: LogoutStore = apart ? new Proxy(opened, { get: bound }) : opened
        const sessions = expressSessions(rows)
        const receiver = createBackchannelLogout<Request>({ provider, store, sessions, warnings: false })
        toClose.push(() => receiver.close())
        return receiver
      }
      const receiver = setup(make)
      const application = await startSmallApplication(rows, receiver, {
        '/detach-and-log-in-by-password': async (req, res) => {
          await receiver.detach(req)
          const { who: _, ...rest } = req.session
          await regenerate(req)
          Object.assign(req.session, { ...rest, who: 'by password' })
          res.send('in')
        },
      })
      toClose.push(() => application.close())
      return [application, receiver]
    }

    for (const [setupName, setup] of Object.entries(SETUPS)) {
      for (const apart of [false, true]) {
        it(`${setupName}${apart ? ', stores apart' : ''}: who signs in anew in a browser is who is signed in`, async () => {
          const [application] = await setUp(setup, apart)
          const browser = application.browser()
          const [alice, bob, again] = [newUser('alice'), newUser('bob'), newUser('bob')]
          await browser.logIn(alice.sub, alice.sid)
          await browser.logIn(bob.sub, bob.sid)
          expect(await application.logOut({ sid: alice.sid })).toBe(200)
          expect(await browser.whoAmI()).toBe(bob.sub)
          await browser.logIn(bob.sub, again.sid)
          expect(await application.logOut({ sid: bob.sid })).toBe(200)
          expect(await browser.whoAmI()).toBe(bob.sub)
          expect(await application.logOut({ sid: again.sid })).toBe(200)
          expect(await browser.whoAmI()).toBe('nobody')
        })

        it(`${setupName}${apart ? ', stores apart' : ''}: a sign-on goes along when its session id changes`, async () => {
          const [application] = await setUp(setup, apart)
          const [browser, alice] = [application.browser(), newUser('alice')]
          await browser.logIn(alice.sub, alice.sid)
          await browser.go('/rotate')
          expect(await browser.whoAmI()).toBe(alice.sub)
          expect(await application.logOut({ sid: alice.sid })).toBe(200)
          expect(await browser.whoAmI()).toBe('nobody')
        })

        it(`${setupName}${apart ? ', stores apart' : ''}: after detach a login by password is nobody’s sign-on`, async () => {
          const [application] = await setUp(setup, apart)
          const [browser, alice] = [application.browser(), newUser('alice')]
          await browser.logIn(alice.sub, alice.sid)
          expect(await browser.go('/detach-and-log-in-by-password')).toBe('in')
          expect(await browser.whoAmI()).toBe('by password')
          expect(await application.logOut({ sid: alice.sid })).toBe(200)
          expect(await browser.whoAmI()).toBe('by password')
        })
      }
    }

    it('a receiver made once more denies what the first one denies, while the store takes no write', async () => {
      const [application] = await setUp(madeTwice, false)
      const [browser, alice] = [application.browser(), newUser('alice')]
      await browser.logIn(alice.sub, alice.sid)
      await server.refuseWrites(true)
      try {
        expect(await application.logOut({ sid: alice.sid })).toBe(400)
        expect(await browser.whoAmI()).toBe('nobody')
      } finally {
        await server.refuseWrites(false)
      }
    })

    /** What else there is when the receiver is closed that could not finish a logout. */
    const OTHERS: Readonly<Record<string, (make: Make, close: () => void) => void>> = {
      'beside one for another provider': (make, close) => {
        make(providerAt('https://other.example'))
        close()
      },
      'and one is made for another provider': (make, close) => {
        close()
        make(providerAt('https://other.example'))
      },
      'and one by a function is made': (make, close) => {
        close()
        make(asFunction)
      },
      'and is made once more': (make, close) => {
        close()
        make(providerAt())
      },
    }
    for (const [othersName, others] of Object.entries(OTHERS)) {
      for (const apart of [false, true]) {
        it(`one that is closed ${othersName}${apart ? ', stores apart' : ''}: what it could not finish stays denied`, async () => {
          let makeOther: Make | undefined
          const [application, receiver] = await setUp((make) => {
            makeOther = make
            return make(providerAt())
          }, apart)
          const [browser, alice] = [application.browser(), newUser('alice')]
          await browser.logIn(alice.sub, alice.sid)
          await server.refuseWrites(true)
          try {
            expect(await application.logOut({ sid: alice.sid })).toBe(400)
            if (makeOther) others(makeOther, () => receiver.close())
            expect(await browser.whoAmI()).toBe('nobody')
          } finally {
            await server.refuseWrites(false)
          }
        })
      }
    }
  })
}

describe('what is denied for receivers that were closed', () => {
  let now = 1_000_000
  const clock = () => now
  const clients = (name: string) => JSON.stringify([[`https://${name}.example`, clientId]])
  const mark = { scope: 'sid', key: 'a key', issuedAt: undefined, seenAt: 0, expiresAt: 0 } as const

  it('is forgotten once the last of them is closed and nothing in it is live', () => {
    const memory = new SessionStoreMemory()
    const store = memoryStore()
    const denied = memory.deniedBy(clients('first'), store, clock)
    const denial = denied.deny(mark)
    expect(memory.deniedBy(clients('first'), store, clock)).toBe(denied)
    const isForgotten = () => {
      memory.deniedBy(clients('another'), store, clock)
      const known = memory.deniedBy(clients('first'), store, clock)
      known.closed()
      return known !== denied
    }
    denied.closed()
    now += 100_000
    expect(isForgotten()).toBe(false)
    denied.closed()
    now += 100_000
    expect(isForgotten()).toBe(false)
    denied.release(denial, 3600)
    now += 3599
    expect(isForgotten()).toBe(false)
    // A request may still be under way at one that was closed just now.
    now += 899
    expect(isForgotten()).toBe(false)
    denied.sessionEnded('a session')
    now += 899
    expect(isForgotten()).toBe(false)
    now += 900
    expect(isForgotten()).toBe(true)
  })

  it('is lived down by a login for as long as it is known', () => {
    const memory = new SessionStoreMemory()
    const store = memoryStore()
    const denied = memory.deniedBy(undefined, store, clock)
    denied.closed()
    now += 900
    memory.deniedBy(clients('another'), store, clock)
    expect(memory.deniedBy(undefined, store, clock)).toBe(denied)
    denied.sessionEnded('a session')
    memory.sessionLives('a session')
    expect(denied.wasEnded('a session')).toBe(false)
  })
})

/** As another object over the same data. */
function bound(store: LogoutStore, name: string | symbol): unknown {
  const value: unknown = Reflect.get(store, name)
  return typeof value === 'function' ? value.bind(store) : value
}
