// What the matrix must show of every store: nobody survives with protection; without it, exactly the known requests
// bring a session back.
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { runSessionStoreMatrix, type SessionStoreCell } from '../../src/testing/session-store-suite.js'

type CreateStore = () => session.Store | Promise<session.Store>

const MINUTES = 60_000

/** Requests under way that bring a destroyed session back in a store that nobody protects (expressjs/session#632). */
const KNOWN_RESURRECTIONS = [
  'resave: false, modifies',
  'resave: false, regenerate() and copies the user',
  'resave: false, save()',
  'resave: true, modifies',
  'resave: true, reads only',
  'resave: true, regenerate() and copies the user',
  'resave: true, reload()',
  'resave: true, save()',
  'resave: true, touch()',
  'rolling, modifies',
  'rolling, regenerate() and copies the user',
  'rolling, save()',
]

/** Two tests: every cell of the matrix, with protection and without. */
export function describeSessionStore(name: string, createStore: CreateStore, { hasTouch = true } = {}): void {
  describe(name, () => {
    it('has no survivor and ends nobody wrongly', { timeout: 3 * MINUTES }, async () => {
      const cells = await runSessionStoreMatrix({ session, createStore, isProtected: true })
      expectEveryCell(cells, hasTouch)
      expect(cells.filter(({ survivors }) => survivors.length > 0)).toEqual([])
      expect(cells.filter(({ wronglyEnded }) => wronglyEnded.length > 0)).toEqual([])
    })

    it('has the known survivors without protection', { timeout: 3 * MINUTES }, async () => {
      const cells = await runSessionStoreMatrix({ session, createStore, isProtected: false })
      expectEveryCell(cells, hasTouch)
      const revived = cells.filter(({ survivors }) => survivors.length > 0)
      const requests = revived.map(({ configuration, operation }) => `${configuration}, ${operation}`)
      expect([...new Set(requests)].sort()).toEqual(KNOWN_RESURRECTIONS)
      const escaped = revived.filter(({ moment }) => moment === 'after the response')
      expect(new Set(escaped.map(({ operation }) => operation))).toEqual(new Set(['regenerate() and copies the user']))
    })
  })
}

/** A matrix whose requests never met their logout would prove nothing. */
function expectEveryCell(cells: readonly SessionStoreCell[], hasTouch: boolean): void {
  for (const configuration of ['resave: false', 'resave: true', 'rolling']) {
    for (const logoutBy of ['sid', 'sub']) {
      const moments = (operation: SessionStoreCell['operation']) =>
        cells
          .filter(
            (cell) =>
              cell.configuration === configuration && cell.logoutBy === logoutBy && cell.operation === operation,
          )
          .map(({ moment }) => moment)
      const around = (call: number, method: string) => [
        `before ${method} (call ${call})`,
        `after ${method} (call ${call})`,
      ]
      const everyRequest = (...calls: string[][]) => [
        'before the handler acts',
        ...around(1, 'get'),
        ...calls.flat(),
        'after the response',
      ]
      expect(moments('modifies')).toEqual(everyRequest(around(2, 'set')))
      const lastCall = configuration === 'resave: true' ? [around(2, 'set')] : hasTouch ? [around(2, 'touch')] : []
      expect(moments('reads only')).toEqual(everyRequest(...lastCall))
      expect(moments('regenerate() and copies the user')).toEqual(everyRequest(around(2, 'destroy'), around(3, 'set')))
    }
  }
}
