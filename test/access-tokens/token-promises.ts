// What an API promises about access tokens after a logout, sentence by sentence, in whichever way it knows a token.
// Each sentence is a program that any door must pass and that the doors which break it must fail.
import fc from 'fast-check'
import { expect } from 'vitest'
import { tokenKey } from '../../src/marks/target.js'
import { settle } from './hand-run.js'
import type { World } from './token-doors.js'

const MINUTE = 60
const LEAST_MARKS_LIFETIME_SECONDS = 86_400
const MANY = 300

/** What a logout of `alice`'s session `s1` must leave alone. */
const NEIGHBOURS = [{ sid: 's2' }, { sub: 'bob', sid: 's9' }, { client_id: 'rp-2' }]

/** A verifier takes each: Ed25519 has 64 octets, so that the last of 86 characters has four bits to spare. */
function otherSpellings(token: string): readonly string[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.slice(-1))
  return [`${token}==`, token.slice(0, -1) + alphabet.charAt(last ^ 1), token.slice(0, -1) + alphabet.charAt(last ^ 6)]
}

export type Promises = Readonly<Record<string, (world: World) => Promise<void>>>

export const PROMISES: Promises = {
  async 'no request that begins after the logout is let in with a token that it covers'(world) {
    for (const logout of [{ sid: 'a' }, { sid: 'b', sub: 'alice' }, { sub: 'alice' }] as const) {
      const token = await world.issue({ sid: 'sid' in logout ? logout.sid : 'c', iat: world.clock() })
      expect(await world.ask(token)).toBe('in')
      await world.logOut(logout)
      expect(await world.ask(token)).toBe('refused')
      await world.restart()
      expect(await world.ask(token)).toBe('refused')
    }
  },

  async 'nothing that was asked before the logout is of use after it'(world) {
    const token = await world.issue()
    const source = world.holdSource()
    const before = world.ask(token)
    await settle()
    await world.logOut({ sid: 's1' })
    source.release()
    expect(await before).toBe('refused')
    expect(await world.ask(token)).toBe('refused')
  },

  async 'a request after the logout waits for no question from before it'(world) {
    const token = await world.issue()
    await world.ask(token)
    const answer = world.holdNextRead()
    const before = world.ask(token)
    await settle()
    await world.logOut({ sid: 's1' })
    const after = world.ask(token)
    answer()
    expect(await after).toBe('refused')
    await before
    expect(await world.ask(token)).toBe('refused')
  },

  async 'a mark denies, whatever else says that the token is good'(world) {
    const { clock } = world
    await world.pass(1000)
    const at = clock()
    const refused = {
      'refreshed long after, by sid': { sid: 's1', iat: at + 100 },
      'refreshed, with the auth_time of the ended login': { sid: 's2', iat: at + 100, auth_time: at - 50 },
      'issued in the second of the logout': { sid: 's2', iat: at },
      'of a date in milliseconds': { sid: 's2', iat: at * 1000 },
      'of a login in the far future': { sid: 's2', iat: at + 100, auth_time: at + 1e6 },
    }
    const tokens = await Promise.all(Object.values(refused).map((claims) => world.issue(claims)))
    const later = await world.issue({ sid: 's3', iat: at + 100, auth_time: at + 99 })
    await world.logOut({ sid: 's1' })
    await world.logOut({ sub: 'alice' })
    await world.pass(200)
    for (const [i, name] of Object.keys(refused).entries()) {
      expect([name, await world.ask(tokens[i] ?? '')]).toEqual([name, 'refused'])
    }
    expect(await world.ask(later)).toBe('in')
  },

  async 'nothing is let in at or after its exp'(world) {
    const exp = world.clock() + 30
    const token = await world.issue({ exp })
    await world.pass(29.5)
    expect(await world.ask(token)).toBe('in')
    await world.pass(0.5)
    expect(await world.ask(token)).toBe('refused')
    expect(await world.ask(await world.issue({ exp: world.clock() - 1 }))).toBe('refused')
  },

  async 'an exp in milliseconds is read as what it means'(world) {
    const token = await world.issue({ exp: (world.clock() + 30) * 1000 })
    expect(await world.ask(token)).toBe('in')
    await world.pass(30)
    expect(await world.ask(token)).toBe('refused')
  },

  async 'the store is asked by hashes, never by a token, a subject or a session'(world) {
    const token = await world.issue()
    await world.ask(token)
    await world.logOut({ sub: 'alice' })
    await world.ask(token)
    expect(world.askedKeys.length).toBeGreaterThan(0)
    for (const key of world.askedKeys)
      expect(key).toMatch(/^((latest )?login of the (token|sid) )?[A-Za-z0-9_-]{22,43}(, begun \d+)?$/)
    expect(world.askedKeys.join()).not.toMatch(new RegExp(`alice|\\bs1\\b|${token.slice(-20)}`))
    expect(world.askedKeys).toContain(tokenKey(token))
  },

  async 'a failure is no verdict, and nobody’s later'(world) {
    const token = await world.issue()
    const source = world.holdSource()
    const waiting = [world.ask(token), world.ask(token)]
    await settle()
    source.fail()
    expect(await Promise.all(waiting)).toEqual(['no verdict', 'no verdict'])
    expect(await world.ask(token)).toBe('in')
  },

  async 'while the store cannot tell, nobody is let in and nobody is refused'(world) {
    const token = await world.issue()
    expect(await world.ask(token)).toBe('in')
    world.state.storeUp = false
    expect(await world.ask(token)).toBe('no verdict')
    world.state.storeUp = true
    expect(await world.ask(token)).toBe('in')
  },

  async 'no number of later logouts makes the first one forgotten'(world) {
    const token = await world.issue({ sid: 'first' })
    await world.logOut({ sid: 'first' })
    for (let i = 0; i < MANY; i++) await world.logOut({ sid: `later ${i}` })
    expect(await world.ask(token)).toBe('refused')
  },

  async 'a token that is used often is verified or asked about once a minute at most'(world) {
    const token = await world.issue()
    for (let i = 0; i < 5; i++) expect(await world.ask(token)).toBe('in')
    expect(world.state.sourced).toBe(1)
  },

  async 'the proof of a token that is bound to a key is asked for each time'(world) {
    const token = await world.issue({ cnf: { jkt: 'thumbprint' } })
    for (let i = 0; i < 3; i++) expect(await world.ask(token)).toBe('in')
    expect(world.state.proofs).toBe(3)
    world.state.proves = false
    expect(await world.ask(token)).toBe('refused')
  },

  async 'every token of the session ends, and nobody else’s'(world) {
    const ended = [{}, { iat: world.clock() + 5 }, { sub: 'pairwise' }]
    const tokens = await Promise.all(ended.map((claims) => world.issue(claims)))
    const others = await Promise.all(NEIGHBOURS.map((claims) => world.issue(claims)))
    await world.pass(10)
    await world.logOut({ sid: 's1', sub: 'alice' })
    for (const token of tokens) expect(await world.ask(token)).toBe('refused')
    for (const token of others) expect(await world.ask(token)).toBe('in')
  },

  async 'one token that is ended alone takes no other with it'(world) {
    const [one, other] = [await world.issue(), await world.issue()]
    await world.endToken(one)
    expect([await world.ask(one), await world.ask(other)]).toEqual(['refused', 'in'])
  },

  async 'what ended is ended under each spelling of its signature'(world) {
    const [bound, evicted] = [await world.issue({ sid: undefined }), await world.issue({ sid: undefined })]
    const { clock } = world
    await world.bind('row', { sid: 's1', sub: 'alice', issuedAt: clock(), token: bound })
    const spelled = (token: string) => [...otherSpellings(token), token]
    // Those that are met before the logout, and those that are met after it only.
    for (const token of [bound, evicted].flatMap((each) => spelled(each).slice(1))) {
      expect(await world.ask(token)).toBe('in')
    }
    await world.logOut({ sid: 's1' })
    await world.endToken(evicted)
    for (const token of [bound, evicted].flatMap(spelled)) expect(await world.ask(token)).toBe('refused')
  },

  async 'one more logout never lets anybody in, in whatever order they come'(world) {
    const at = world.clock()
    // Further apart than the clocks of one OP.
    const dates = [
      { iat: at - 10 },
      { iat: at + 10 },
      { iat: at + 10, auth_time: at - 10 },
      { iat: at + 20, auth_time: at + 20 },
    ]
    const tokens: string[] = []
    for (const sid of ['s1', 's2', 's3']) for (const each of dates) tokens.push(await world.issue({ sid, ...each }))
    await world.pass(30)
    const logout = fc.record({
      subject: fc.constantFrom(
        { sid: 's1' },
        { sid: 's1', sub: 'alice' },
        { sid: 's2' },
        { sub: 'alice' },
        { sub: 'bob' },
      ),
      issuedAt: fc.constantFrom(at - 20, at, at + 15),
    })
    const refused = async () => {
      const outcomes = await Promise.all(tokens.map((token) => world.ask(token)))
      expect(outcomes).not.toContain('no verdict')
      return outcomes.map((outcome) => outcome === 'refused')
    }
    let before = await refused()
    for (const { subject, issuedAt } of fc.sample(logout, { numRuns: 20, seed: 7 })) {
      await world.logOut(subject, issuedAt)
      const after = await refused()
      expect(before.filter((was, i) => was && !after[i])).toEqual([])
      before = after
    }
  },

  async 'a mark is kept as long as any token may live, and a token that lives longer is told of'(world) {
    const exp = world.clock() + LEAST_MARKS_LIFETIME_SECONDS - 1
    const token = await world.issue({ exp })
    await world.logOut({ sid: 's1' })
    await world.pass(LEAST_MARKS_LIFETIME_SECONDS - 2)
    expect(await world.ask(token)).toBe('refused')
    expect(JSON.stringify(world.said)).not.toContain('token_outlives_marks')
    const long = await world.issue({ exp: world.clock() + 400 * LEAST_MARKS_LIFETIME_SECONDS, sid: 's2' })
    for (const _ of [1, 2]) expect(await world.ask(long)).toBe('in')
    expect(JSON.stringify(world.said).split('token_outlives_marks')).toHaveLength(2)
  },

  async 'nothing is said of a token, a subject or a session'(world) {
    const token = await world.issue({ sid: 'secret-sid', sub: 'secret-sub', azp: undefined, iat: world.clock() + 2 })
    await world.ask(token)
    await world.logOut({ sub: 'secret-sub' }, world.clock() + 1)
    await world.pass(MINUTE)
    await world.ask(token)
    await world.ask(await world.issue({ sid: 'secret-sid', client_id: undefined }))
    world.state.storeUp = false
    await world.ask(token)
    expect(JSON.stringify(world.said)).not.toMatch(/secret/)
    expect(JSON.stringify(world.said)).not.toContain(token)
  },
}
