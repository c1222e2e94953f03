// How cases compare what a store answers with what it should: by the members that the port names, and by nothing else.
import assert from 'node:assert/strict'
import type { Mark } from '../../marks/covering.js'
import type { Binding, SessionState } from '../../stores/logout-store.js'

/** Compares what the port names and nothing else: an adapter may keep more on its objects. */
export function assertState(actual: SessionState, expected: SessionState): void {
  assert.deepEqual(plainState(actual), plainState(expected))
}

function plainState({ ended, binding, marks }: SessionState) {
  return { ended, binding: binding && plainBinding(binding), marks: asSet(marks) }
}

/** The members of the port alone. */
export function plainBinding(binding: Binding) {
  const { sessionId, subKey, sidKey, issuedAt, startedAt, boundAt, expiresAt, endsAt, idleSeconds } = binding
  return { sessionId, subKey, sidKey, issuedAt, startedAt, boundAt, expiresAt, endsAt, idleSeconds }
}

/** Both dates of a mark; its expiry may have grown. */
export function assertSameDates(actual: Mark, expected: Mark): void {
  assert.deepEqual([actual.issuedAt, actual.seenAt], [expected.issuedAt, expected.seenAt])
}

/** Marks as a set; an absent `subKey` and an undefined one are the same. */
export function assertSameMarks(actual: readonly Mark[], expected: readonly Mark[]): void {
  assert.deepEqual(asSet(actual), asSet(expected))
}

function asSet(marks: readonly Mark[]): readonly string[] {
  return sorted(
    marks.map(({ scope, key, subKey, issuedAt, seenAt, expiresAt }) =>
      JSON.stringify([scope, key, subKey ?? null, issuedAt ?? null, seenAt, expiresAt]),
    ),
  )
}

/** For lists whose order no store promises. */
export function sorted(texts: readonly string[]): readonly string[] {
  return [...texts].sort()
}
