// What the tests of the claims cache share: a clock and an authorization server that are moved by hand.

import { onTestFinished } from 'vitest'
import type { EndedClaims } from '../../src/access-tokens/index.js'
import { type ClaimsOptions, createClaims, type TokenClaims } from '../../src/access-tokens/index.js'
import type { Mark } from '../../src/marks/covering.js'
import { type LogoutTarget, targetKey, tokenKey } from '../../src/marks/target.js'

export const ISSUER = 'https://op.example.com'
export const RP = { issuer: ISSUER, clientId: 'rp' } as const
export const NOW = 1_800_000_000

/** A clock in epoch seconds that stands still until it is moved. */
export function handClock(start = NOW) {
  let now = start
  const clock = () => now
  return Object.assign(clock, {
    advance: (seconds: number) => {
      now += seconds
    },
  })
}

/** One question that an authorization server was asked and has not answered yet. */
export interface OpenQuestion {
  readonly token: string
  answer(claims: TokenClaims): void
  fail(error: unknown): void
}

/** An authorization server that answers when it is told to. */
export function handServer() {
  const open: OpenQuestion[] = []
  let asked = 0
  // A question that is left open is given up a minute later, and then nobody of its test is there to hear of it.
  onTestFinished(() => {
    for (const { answer } of open.splice(0)) answer({ active: false })
  })
  const introspect = (token: string) =>
    new Promise<TokenClaims>((resolve, reject) => {
      asked += 1
      open.push({ token, answer: resolve, fail: reject })
    })
  return {
    // However slow the machine is.
    introspection: { issuer: ISSUER, introspect, timeoutSeconds: 60 },
    open,
    get asked() {
      return asked
    },
    /** Answers the oldest open question. */
    answerNext(claims: TokenClaims) {
      const question = open.shift()
      if (question === undefined) throw new Error('nobody has asked')
      question.answer(claims)
    },
  }
}

/** An authorization server that answers at once. */
export function promptServer(answers: (token: string) => TokenClaims | Promise<TokenClaims>) {
  const asked: string[] = []
  const introspect = async (token: string) => {
    asked.push(token)
    return answers(token)
  }
  return { introspection: { issuer: ISSUER, introspect }, asked }
}

/** A valid answer, with changes. */
export function active(changes: Record<string, unknown> = {}): TokenClaims {
  return {
    active: true,
    iss: ISSUER,
    client_id: RP.clientId,
    sub: 'alice',
    sid: 's1',
    iat: NOW - 10,
    exp: NOW + 3600,
    scope: 'read write',
    aud: 'https://api.example.com',
    ...changes,
  }
}

export const INACTIVE: TokenClaims = { active: false }

/** A cache over a server that answers at once; everything else may be changed. */
export function claimsOver(answers: (token: string) => TokenClaims | Promise<TokenClaims>, more: MoreOptions = {}) {
  const clock = handClock()
  const server = promptServer(answers)
  const claims = createClaims({ introspection: server.introspection, clock, ...more })
  return { claims, clock, server }
}

export type MoreOptions = Omit<Partial<ClaimsOptions<undefined>>, 'introspection' | 'enrich' | 'clock'>

type Subject = { readonly sub: string } | { readonly sid: string; readonly sub?: string }

/** What the engine tells the cache after it has marked a logout. */
export function ended(
  subject: Subject,
  issuedAt: number,
  changes: Partial<Mark> = {},
  tokens: string[] = [],
): EndedClaims {
  const target = targetKey(targetOf(subject))
  const mark = { ...target, issuedAt, seenAt: issuedAt, expiresAt: issuedAt + 86_400, ...changes }
  return { target, mark, tokenKeys: tokens.map(tokenKey) }
}

function targetOf(subject: Subject): LogoutTarget {
  return { ...RP, ...subject }
}

/** Lets everything happen that can happen without another move. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Whether a token is let in. */
export async function isActive(claims: { lookup(token: string): Promise<{ active: boolean }> }, token = 'token') {
  return (await claims.lookup(token)).active
}
