// Which session stores are believed not to ask themselves, and that nothing is paid for those.
import { AsyncLocalStorage } from 'node:async_hooks'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { mayAskItself } from '../../src/sessions/asks-itself.js'

afterEach(() => {
  vi.restoreAllMocks()
})

const { MemoryStore } = session
const replaced = new MemoryStore()
replaced.destroy = MemoryStore.prototype.destroy.bind(replaced)

describe('the destroy of a store', () => {
  it.each<[string, object]>([
    ['the one of express-session', new MemoryStore()],
    ['connect-redis', new RedisStore({ client: {} as never })],
    ['connect-pg-simple', new (connectPgSimple(session))({ pool: {} as never })],
  ])('is known, and asks nothing of the store: %s', (_name, store) => {
    expect(mayAskItself(store)).toBe(false)
  })

  it.each<[string, object]>([
    ['one that an instance has replaced', replaced],
    ['one that a class of the application inherits', new (class extends MemoryStore {})()],
    [
      'one that nobody has read',
      new (class {
        destroy(_id: string) {}
      })(),
    ],
    ['one without any', {}],
    [
      'one behind a Proxy with a destroy of its own',
      new Proxy(new MemoryStore(), { get: (rows, name) => (name === 'destroy' ? () => {} : Reflect.get(rows, name)) }),
    ],
    ['one without a class', Object.create(null)],
  ])('may ask the store: %s', (_name, store) => {
    expect(mayAskItself(store)).toBe(true)
  })
})

describe('a context for what a store asks itself', () => {
  async function logout(rows: session.Store): Promise<void> {
    const provider = { issuer: 'https://op.example', clientId: 'rp' }
    const receiver = createBackchannelLogout({ provider, sessions: expressSessions(rows) })
    const [iat, sub] = [Date.now() / 1000 - 10, 'alice']
    await receiver.bind({ sessionId: 'a' }, { iss: provider.issuer, aud: 'rp', sub, sid: 's', iat })
    expect(await receiver.terminate({ ...provider, sub })).toMatchObject({ complete: true, destroyed: 1 })
    receiver.close()
  }

  it('is begun where the store may, and where it does not no promise of the process pays for one', async () => {
    const run = vi.spyOn(AsyncLocalStorage.prototype, 'run')
    await logout(new MemoryStore())
    expect(run).not.toHaveBeenCalled()
    await logout(replaced)
    expect(run).toHaveBeenCalled()
  })
})
