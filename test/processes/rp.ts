// What a process of the Relying Party is told at its start, and what it says when it is ready.
import type { IdTokenClaims, ProviderOptions } from '../../src/index.js'

/** Where in a login a process may die: the browser has its cookie by then. `bind sent`: no answer is read. */
export type LoginStep = 'row saved, before bind' | 'bind sent'

/**
 * Where in a logout a process may die. `begin sent`: the store is asked to begin, its answer never read. Where a reply
 * is lost it lives on: the store did what it was asked, and the process never hears of it.
 */
export type Step =
  | LoginStep
  | 'begin, its reply lost'
  | 'complete, its reply lost'
  | 'before begin'
  | 'begin sent'
  | 'after begin'
  | 'after the first destroy'
  | 'before complete'
  | 'before the answer'
  | 'before the second page'

export interface RpSettings {
  readonly provider: ProviderOptions
  readonly storeKind: 'redis' | 'postgres'
  readonly driver: 'node-redis' | 'ioredis'
  readonly storeUrl: string
  readonly sessionsUrl: string
  /** Absent: this node has no doorbell. */
  readonly doorbellUrl?: string | undefined
  readonly boundSeconds: number
}

export const DOORS = ['strict', 'bounded'] as const
export type Door = (typeof DOORS)[number]
export interface RpReady {
  readonly ports: Readonly<Record<Door, number>>
}

/** Many sign-ons of one user, each with a session of its own; the ids of these are the answer. */
export interface ManyLogins extends Login {
  readonly count: number
}

/** What a login route is posted: the claims of a validated ID Token, and the access token that came with it. */
export interface Login {
  readonly claims: IdTokenClaims
  readonly accessToken?: string | undefined
}
