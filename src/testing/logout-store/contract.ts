// The definition of the logout store port as runnable cases: a store is right if all of them pass. Knows no test runner
// and no store.
import { assertOptions } from '../../option-checks.js'
import type { LogoutStore } from '../../stores/logout-store.js'
import { BEGIN_CASES } from './begin.js'
import { BIND_CASES } from './bind.js'
import { COMPLETE_CASES } from './complete.js'
import { CONCURRENCY_CASES } from './concurrency.js'
import { COVERING_CASES } from './covering.js'
import { END_CASES } from './end-sessions.js'
import { EXPIRY_CASES } from './expiry.js'
import { LIMIT_CASES } from './limits.js'
import { LIST_CASES } from './list.js'
import { MARK_CASES } from './marks.js'
import { PAGE_CASES } from './pages.js'
import { READ_CASES } from './read.js'
import { REBIND_CASES } from './rebind.js'
import { RENEW_CASES } from './renew.js'
import { type Case, type LogoutStoreUnderTest, Scene } from './scene.js'
import { WITHOUT_SID_CASES } from './without-sid.js'

export type { LogoutStoreUnderTest } from './scene.js'

/** What the contract suite of a logout store is given. */
export interface LogoutStoreContractOptions {
  /** A store for one case; called once for each. */
  create(): Promise<LogoutStoreUnderTest>
}

/** One case of the contract: a sentence, and what shows it. */
export interface LogoutStoreCase {
  readonly name: string
  /** Rejects with an `AssertionError` if the store breaks this promise of the port. */
  run(): Promise<void>
}

/**
 * The cases that define `LogoutStore`. Hand each to your test runner:
 *
 * `for (const { name, run } of logoutStoreContract({ create })) it(name, run)`
 */
export function logoutStoreContract(options: LogoutStoreContractOptions): readonly LogoutStoreCase[] {
  assertOptions('logoutStoreContract()', options, { create: true })
  return CASES.map(([name, body]) => ({
    name,
    async run() {
      const underTest = await options.create()
      assertUnderTest(underTest)
      try {
        await body(new Scene(underTest))
      } finally {
        await underTest.dispose()
      }
    },
  }))
}

/** Every method of the port: one that is missing here does not compile. */
const METHODS: Readonly<Record<keyof LogoutStore, true>> = {
  bind: true,
  rebind: true,
  list: true,
  renew: true,
  addTokens: true,
  read: true,
  marks: true,
  endSessions: true,
  unbind: true,
  begin: true,
  complete: true,
  isBound: true,
}

/** JavaScript has no compiler to say so, and most often it is the store itself that is given. */
function assertUnderTest(given: unknown): void {
  const of = (name: string, object: unknown = given): unknown => Reflect.get(Object(object), name)
  const isMissing = (object: unknown) => (name: string) => typeof of(name, object) !== 'function'
  const store = of('store')
  if (isMissing(given)('now') || isMissing(given)('dispose') || typeof store !== 'object' || store === null) {
    const itself = isMissing(given)('begin') ? '' : 'It gave the store itself. '
    throw new TypeError(
      `logoutStoreContract(): create() must resolve to { store, now, dispose }. ${itself}` +
        'Write create: async () => ({ store, now: async () => Date.now() / 1000, dispose() {} }), with the clock of the store as now',
    )
  }
  const missing = Object.keys(METHODS).filter(isMissing(store))
  if (missing.length > 0) throw new TypeError(`logoutStoreContract(): the store has no ${missing.join(', ')}`)
}

const CASES: readonly Case[] = [
  ...BIND_CASES,
  ...READ_CASES,
  ...REBIND_CASES,
  ...RENEW_CASES,
  ...LIMIT_CASES,
  ...LIST_CASES,
  ...END_CASES,
  ...BEGIN_CASES,
  ...COMPLETE_CASES,
  ...EXPIRY_CASES,
  ...COVERING_CASES,
  ...MARK_CASES,
  ...WITHOUT_SID_CASES,
  ...PAGE_CASES,
  ...CONCURRENCY_CASES,
]
