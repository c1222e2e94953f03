// A check of JWTs over a store in memory, and the logouts that it may hear of.

import type { JWTPayload } from 'jose'
import { createJwtCheck, type JwtCheckOptions } from '../../src/access-tokens/index.js'
import type { LogoutEvent } from '../../src/index.js'
import { type LogoutTarget, targetKey, tokenKey } from '../../src/marks/target.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { handClock, ISSUER, NOW, RP } from './hand-run.js'

export const claimsOf = (changes: Record<string, unknown> = {}): JWTPayload => ({
  iss: ISSUER,
  aud: 'https://api.example.com',
  client_id: RP.clientId,
  sub: 'alice',
  sid: 's1',
  iat: NOW - 10,
  exp: NOW + 3600,
  ...changes,
})

export function checkOver(more: Partial<JwtCheckOptions> = {}) {
  const clock = handClock()
  const store = memoryStore({ clock })
  const events: LogoutEvent[] = []
  const check = createJwtCheck({ store, clock, onEvent: (event) => void events.push(event), ...more })
  const logOut = (subject: { sid: string; sub?: string } | { sub: string } | { token: string }, issuedAt = clock()) => {
    const target =
      'token' in subject
        ? ({ scope: 'token', key: tokenKey(subject.token) } as const)
        : targetKey({ ...RP, ...subject } as LogoutTarget)
    const dates = { issuedAt, seenSecondsAgo: 0, marksExpireAt: clock() + 86_400 }
    return store.begin({ target, ...dates, mayDestroy: true })
  }
  return { check, clock, store, events, logOut }
}

export function* orders(left: number[], order: number[] = []): Generator<readonly number[]> {
  if (left.every((steps) => steps === 0)) yield order
  for (const [who, steps] of left.entries()) {
    if (steps > 0) yield* orders(left.with(who, steps - 1), [...order, who])
  }
}
