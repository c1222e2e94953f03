// The logouts of one browser that went to an OP and are not back: several where it has several tabs. Which of them a
// visit to the landing page ends, and which are over. Pure.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Client } from '../marks/target.js'

/**
 * What became of the OP's session, for the page that the user sees. `unsupported`: the provider has no such endpoint.
 */
export type ProviderLogout = 'asked' | 'not-asked' | 'unsupported' | 'unreachable'

/** A browser that is at the OP, and what is said to it when it comes back. */
export interface WayBack {
  /** Tells it from others of this browser. */
  readonly id: string
  /** Absent: the OP hands none back. */
  readonly state?: string
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  readonly expiresAt: number
}

/** One session that ended here. Who presses the button twice has two ways back from it. */
export interface PendingLogout {
  /** Tells it from others of this browser; the same for the same token. */
  readonly id: string
  /** Whose session it was, for a logout that is begun once more. */
  readonly client?: Client | undefined
  /** To be revoked on return, and not before: revoked first, Keycloak keeps notices of the logout from being sent. */
  readonly refreshToken?: string | undefined
  /** The oldest first. */
  readonly ways: readonly WayBack[]
}

/** What is to be revoked now, and what is still on its way. */
export interface Settled {
  readonly due: readonly PendingLogout[]
  readonly rest: readonly PendingLogout[]
}

export type StateOnReturn = 'matched' | 'missing' | 'changed' | 'not-expected'

/** Those that came to no end in their time are over. */
export function settled(logouts: readonly PendingLogout[], now: number, hasEnded = (_: WayBack) => false): Settled {
  const isLive = ({ expiresAt }: WayBack) => expiresAt > now
  const due = logouts.filter(({ ways }) => ways.some(hasEnded) || !ways.some(isLive))
  const rest = logouts.map((each): PendingLogout => {
    const ways = each.ways.filter((way) => isLive(way) && !hasEnded(way))
    return { ...(due.includes(each) ? withoutToken(each) : each), ways }
  })
  return { due, rest: rest.filter(({ ways }) => ways.length > 0) }
}

/**
 * A visit to the landing page, which anybody can cause: only a state that was given out proves that a browser is back.
 * Where the OP hands none back the latest of those is taken to be.
 */
export function cameBack(
  logouts: readonly PendingLogout[],
  state: string | null,
  now: number,
): Settled & { readonly state: StateOnReturn; readonly way: WayBack | undefined } {
  const all = logouts.flatMap(({ ways }) => ways)
  const live = all.filter(({ expiresAt }) => expiresAt > now)
  const matched = all.filter((way) => compared(way.state, state) === 'matched')
  const isForOthers = state && live.some((way) => way.state !== undefined)
  const stateless = isForOthers ? undefined : live.findLast((way) => way.state === undefined)
  const ended = matched.length > 0 ? matched : stateless === undefined ? [] : [stateless]
  const way = ended.length === 0 ? live.at(-1) : ended.find((each) => live.includes(each))
  return {
    ...settled(logouts, now, (each) => ended.includes(each)),
    state: compared(way?.state, state),
    way,
  }
}

export function withoutToken({ id, client, ways }: PendingLogout): PendingLogout {
  return { id, client, ways }
}

function compared(expected: string | undefined, state: string | null): StateOnReturn {
  if (expected === undefined) return 'not-expected'
  if (state === null || state === '') return 'missing'
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(expected), digest(state)) ? 'matched' : 'changed'
}
