// The store under test as a case sees it, and the dates that cases share. Of time it knows only the store's own clock.
import assert from 'node:assert/strict'
import { hash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { covers } from '../../marks/covering.js'
import type { TargetKey } from '../../marks/target.js'
import type { BeginLogout, BegunLogout, Binding, LogoutStore, NewBinding } from '../../stores/logout-store.js'
import { assertState } from './comparisons.js'

/** One store under test. Cases use keys and session ids of their own, so it may hold other data. */
export interface LogoutStoreUnderTest {
  readonly store: LogoutStore
  /**
   * The store's clock, in epoch seconds. It must advance by itself: cases about expiry wait for it, some 0.1 s each.
   */
  now(): Promise<number>
  /** A second node on the same data. Absent where there can be none; the cases about two nodes then use one. */
  another?(): Promise<LogoutStore>
  dispose(): Promise<void> | void
}

/** A logout that was begun and was no replay. */
export type Begun = Extract<BegunLogout, { readonly replayed: false }>
/** A promise of the port in words, and what rejects where a store breaks it. */
export type Case = readonly [name: string, body: (scene: Scene) => Promise<void>]

/** An ID Token's `iat` in most cases: the OP's clock has nothing to do with the store's. */
export const LOGIN = 1_700_000_000
/** How soon "soon" is: long enough to be alive for one case's first steps, short enough to be waited for. */
export const SOON = 0.15

/** What one case works with: the store, names nobody else uses, and short forms of what it says most often. */
export class Scene {
  readonly store: LogoutStore
  readonly #underTest: LogoutStoreUnderTest

  constructor(underTest: LogoutStoreUnderTest) {
    this.#underTest = underTest
    this.store = underTest.store
  }

  async another(): Promise<LogoutStore> {
    return (await this.#underTest.another?.()) ?? this.store
  }

  async in(seconds: number): Promise<number> {
    return (await this.#underTest.now()) + seconds
  }

  async waitUntilAfter(time: number): Promise<void> {
    while ((await this.#underTest.now()) <= time) await delay(10)
  }

  key(): string {
    return hash('sha256', randomUUID(), 'base64url')
  }

  sessionId(): string {
    return `${randomUUID()}~ü`
  }

  async login(parts: Partial<NewBinding> = {}): Promise<NewBinding> {
    return {
      sessionId: this.sessionId(),
      subKey: this.key(),
      sidKey: this.key(),
      issuedAt: LOGIN,
      expiresAt: await this.in(3600),
      ...parts,
    }
  }

  async bound(parts: Partial<NewBinding> = {}): Promise<Binding> {
    return (await this.store.bind(await this.login(parts))).binding
  }

  async logout(target: TargetKey, parts: Partial<BeginLogout> = {}): Promise<BeginLogout> {
    return {
      target,
      issuedAt: LOGIN + 100,
      seenSecondsAgo: 0,
      marksExpireAt: await this.in(7200),
      mayDestroy: false,
      ...parts,
    }
  }

  async begin(target: TargetKey, parts: Partial<BeginLogout> = {}): Promise<Begun> {
    const begun = await this.store.begin(await this.logout(target, parts))
    assert(!begun.replayed, 'the logout was taken for a replay')
    return begun
  }

  async jti(
    parts: { readonly expiresAt?: number } = {},
  ): Promise<{ readonly key: string; readonly expiresAt: number }> {
    return { key: this.key(), expiresAt: await this.in(600), ...parts }
  }

  async isDead(sessionId: string): Promise<boolean> {
    const { ended, binding, marks } = await this.store.read(sessionId)
    return ended || (binding !== undefined && marks.some((mark) => covers(mark, binding)))
  }

  async assertUntouched(binding: Binding): Promise<void> {
    const state = await this.store.read(binding.sessionId)
    assertState(state, { ended: false, binding, marks: [] })
  }
}

/** Every session of this subject. */
export function bySub(binding: { readonly subKey: string }): TargetKey {
  return { scope: 'sub', key: binding.subKey }
}

/** The session of this sid; with `subKey`, only if it is that subject's. */
export function bySid(binding: { readonly sidKey?: string | undefined }, subKey?: string): TargetKey {
  assert(binding.sidKey !== undefined)
  return subKey === undefined ? { scope: 'sid', key: binding.sidKey } : { scope: 'sid', key: binding.sidKey, subKey }
}
