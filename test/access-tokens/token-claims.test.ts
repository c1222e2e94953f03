// An answer that does not say whose client a token belongs to: what still ends that token, and who is told.
import { describe, expect, it } from 'vitest'
import type { LogoutEvent } from '../../src/index.js'
import { active, claimsOver, ended, INACTIVE, type MoreOptions, NOW, RP } from './hand-run.js'

function listening(answer: Record<string, unknown>, more: MoreOptions = {}) {
  const events: LogoutEvent[] = []
  const { claims } = claimsOver(() => active(answer), { onEvent: (event) => void events.push(event), ...more })
  return { claims, events, isActive: async (token: string) => (await claims.lookup(token)).active }
}

const WARNING = {
  type: 'warning',
  error: { code: 'ERR_CONFIGURATION', reason: 'client_id_missing', claim: 'client_id' },
}

describe('an answer without client_id', () => {
  it.each([undefined, null, ''])(
    'is told of once, when it is %j; its token is let in, and only a logout that names it ends it',
    async (client_id) => {
      const { claims, events, isActive } = listening({ client_id })
      expect([await isActive('a'), await isActive('a'), await isActive('b')]).toEqual([true, true, true])
      expect(events).toMatchObject([WARNING])
      claims.evict(ended({ sub: 'alice' }, NOW))
      expect(await isActive('a')).toBe(true)
      claims.evict(ended({ sub: 'alice' }, NOW, {}, ['a']))
      expect([await isActive('a'), await isActive('b')]).toEqual([false, true])
      expect(events).toHaveLength(1)
    },
  )

  it('says in the warning what to do, and nothing of the token', async () => {
    const { events, isActive } = listening({ client_id: undefined })
    await isActive('a secret token')
    const [event] = events
    expect(event?.type === 'warning' && event.error.message).toMatch(/bind.*signOnOf/)
    expect(event?.type === 'warning' && event.error.cause).toBeUndefined()
    expect(JSON.stringify(event)).not.toMatch(/alice|s1|secret/)
  })

  it('is not told of where signOnOf knows better, and a logout of the user ends the token', async () => {
    const { claims, events, isActive } = listening(
      { client_id: undefined, azp: RP.clientId },
      { signOnOf: (answer, registered) => ({ ...registered, clientId: String(answer.azp) }) },
    )
    expect(await isActive('a')).toBe(true)
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive('a')).toBe(false)
    expect(events).toEqual([])
  })

  it('is told of where signOnOf leaves it out', async () => {
    const { events, isActive } = listening({}, { signOnOf: (_answer, { clientId: _, ...registered }) => registered })
    await isActive('a')
    expect(events).toMatchObject([WARNING])
  })

  it('is nothing to tell of where the token is not active: such an answer says no more than that', async () => {
    const { events, isActive } = listening({ ...INACTIVE, client_id: undefined })
    expect(await isActive('a')).toBe(false)
    expect(events).toEqual([])
  })
})

it('an answer with client_id is nothing to tell of, whomever it names', async () => {
  const { events, isActive } = listening({ sub: undefined, sid: undefined })
  expect(await isActive('a machine')).toBe(true)
  expect(events).toEqual([])
})
