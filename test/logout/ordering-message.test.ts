// A logout that is ordered by a message of another protocol: dated by it, and acted on once.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, type OrderingMessage, type TerminateOptions } from '../../src/index.js'

const CLIENT = { issuer: 'https://op.example.com', clientId: 'rp' }
const NOW = 1_800_000_000

function rp() {
  let now = NOW
  const logout = createBackchannelLogout({
    provider: { ...CLIENT, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x' }] } },
    clock: () => now,
    onEvent: () => {},
  })
  const signIn = async (iat: number) => {
    const signOn = await logout.signOn({ iss: CLIENT.issuer, aud: CLIENT.clientId, sub: 'ada', sid: 'laptop', iat })
    if (signOn === undefined) throw new Error('the login was ended before it was bound')
    return signOn
  }
  return { logout, signIn, pass: (seconds: number) => (now += seconds) }
}

const TARGET = { ...CLIENT, sub: 'ada' }
const MESSAGE: OrderingMessage = { id: '_1', issuedAt: NOW, expiresAt: NOW + 300 }

describe('terminate with a message', () => {
  it('ends what was signed in by its date, although it comes later than a new login', async () => {
    const { logout, signIn, pass } = rp()
    const before = await signIn(NOW - 100)
    pass(40)
    const later = await signIn(NOW + 30)
    expect(await logout.terminate(TARGET, { message: MESSAGE })).toMatchObject({ complete: true, marked: true })
    expect(await logout.isLive(before)).toBe(false)
    expect(await logout.isLive(later)).toBe(true)
  })

  it('without one ends both: there is no date but now', async () => {
    const { logout, signIn, pass } = rp()
    pass(40)
    const later = await signIn(NOW + 30)
    await logout.terminate(TARGET)
    expect(await logout.isLive(later)).toBe(false)
  })

  it('is acted on once; another message, or the same id at another client, is another', async () => {
    const { logout, signIn } = rp()
    await logout.terminate(TARGET, { message: MESSAGE })
    expect(await logout.terminate(TARGET, { message: MESSAGE })).toMatchObject({ complete: true, replayed: true })
    await signIn(NOW - 100).catch(() => {})
    const second = await logout.terminate(TARGET, { message: { ...MESSAGE, id: '_2' } })
    expect(second).not.toHaveProperty('replayed')
  })

  it.each<[string, Partial<Record<keyof TerminateOptions, unknown>>, RegExp]>([
    ['no id', { message: { ...MESSAGE, id: '' } }, /message needs an id/],
    ['milliseconds', { message: { ...MESSAGE, issuedAt: NOW * 1000 } }, /epoch seconds/],
    ['no end', { message: { ...MESSAGE, expiresAt: Number.NaN } }, /epoch seconds/],
    ['a misspelled name', { message: { ...MESSAGE, iat: 1 } }, /no option "iat"/],
    ['except beside it', { message: MESSAGE, except: {} }, /exclude each other/],
  ])('%s is a TypeError', async (_, options, message) => {
    await expect(rp().logout.terminate(TARGET, options as TerminateOptions)).rejects.toThrow(message)
  })
})
