// Which login a token comes from, as the Relying Party knew it: written beside the bindings, read where a token's own
// claims cannot tell a later login from a refresh. Knows no token but its key, and asks no authorization server.
import { covers, type Mark, type SignOn } from '../marks/covering.js'
import { sha256 } from '../marks/target.js'
import type { Binding, LogoutStore, NewBinding, SessionState } from '../stores/logout-store.js'
import { ends, type TokenStanding } from './token-claims.js'

/** The part of a store that can say it. */
export type LoginRecords = Pick<LogoutStore, 'read'>

/**
 * A logout store that also remembers of which login each access token is that `bind` and `addTokens` record, and which
 * is the latest login of each `sid`. Give it to the receiver in place of the store. `createClaims` and `createJwtCheck`
 * over the same store then let the tokens of a later login in whose claims have the `auth_time` of the ended one (single
 * sign-on without a password), and refuse those that were refreshed from the ended one. Costs two writes more for each
 * login with a `sid`, and a write for each recorded token.
 */
export function withLoginRecords<Store extends LogoutStore>(store: Store): Store {
  const record = (name: string, { issuedAt, startedAt, expiresAt }: Dates, subKey = subKeyOf(name)): Promise<unknown> =>
    // Under keys of its own: no logout finds it, and what a logout ends is told by its dates.
    store.bind({ sessionId: name, subKey, issuedAt, startedAt, expiresAt })
  /**
   * A record for each login, and beside them which of these was begun last: logins of one `sid` that are bound at the
   * same time write over nothing of one another. Of two binds of a sign-on a store keeps the earlier `endsAt`, whichever
   * comes last, and the earliest of these is minus the latest begin.
   */
  const recordOfSid = async (sidKey: string, binding: NewBinding): Promise<void> => {
    const [begun, latest] = [begunAt(binding), latestOf(sidKey)]
    const name = ofSid(sidKey, begun)
    await record(name, binding, subKeyOf(name, (binding.tokenKeys ?? []).length > 0))
    const { expiresAt } = binding
    const { binding: found } = await store.bind({
      sessionId: latest,
      subKey: subKeyOf(latest),
      endsAt: -begun,
      expiresAt,
    })
    if (found?.endsAt === undefined || found.endsAt === -begun) return
    // It leads to a later login, and for as long as that is remembered.
    const { binding: later } = await store.read(ofSid(sidKey, -found.endsAt), { current: true })
    if (later !== undefined) await store.renew(latest, later.expiresAt)
  }
  const bind = async (binding: NewBinding) => {
    const { tokenKeys = [], sidKey } = binding
    // Before the session is bound: a logout that comes in between then ends what it ends there.
    await Promise.all([
      ...tokenKeys.map((key) => record(ofToken(key), binding)),
      ...(sidKey === undefined ? [] : [recordOfSid(sidKey, binding)]),
    ])
    return store.bind(binding)
  }
  const addTokens = async (sessionId: string, tokenKeys: readonly string[]) => {
    const state = await store.addTokens(sessionId, tokenKeys)
    const { binding, ended, marks } = state
    // From here on a logout that ends the session marks these tokens, whatever is recorded of them.
    if (binding !== undefined && !ended && !marks.some((mark) => covers(mark, binding))) {
      await Promise.all(tokenKeys.map((key) => record(ofToken(key), binding)))
    }
    return state
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'bind') return bind
      if (name === 'addTokens') return addTokens
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

/** Within one answer of the token endpoint an access token may be dated that much before the ID Token. */
const ONE_ANSWER_SECONDS = 1

/** The records of a store, if it has any; a relay has none. */
export function recordsOf(store: Partial<LoginRecords> | undefined): LoginRecords | undefined {
  const read = store?.read
  return read === undefined ? undefined : { read: (name, how) => read.call(store, name, how) }
}

type Dates = Pick<Binding, 'issuedAt' | 'startedAt' | 'expiresAt'>

const ofToken = (key: string) => `login of the token ${key}`
const ofSid = (key: string, begun: number) => `login of the sid ${key}, begun ${begun}`
const latestOf = (key: string) => `latest login of the sid ${key}`
/** The `subKey` of a record tells whether the tokens of that login are recorded as well. */
const subKeyOf = (name: string, tokens = false) => sha256(tokens ? `${name}, and its tokens` : name)
const hasRecordedTokens = ({ sessionId, subKey }: Binding) => subKey === subKeyOf(sessionId, true)

/** When the login was begun; where nobody knows, when it was answered. To the millisecond, as any store gives it back. */
const begunAt = ({ startedAt, issuedAt }: Dates) => Math.round((startedAt ?? issuedAt ?? 0) * 1000) / 1000

/** What decided about a token. `dates`: nothing but its claims. */
export type Evidence = 'token-mark' | 'login-of-token' | 'login-of-sid' | 'dates'

export interface Judgement {
  readonly mark: Mark
  readonly evidence: Evidence
  /** Nothing that may still be written says otherwise: neither the login of this token nor a later one of its `sid`. */
  readonly isFinal: boolean
}

/**
 * The mark that ends a token, if one does, and by what that is known: a mark of its own, else the login it is of, else
 * the login its `sid` is of, else its dates. One rule for tokens that are introspected and those that are not. Asks the
 * records only about tokens under a mark. `firstSeenAt`: when the token was known to exist, by the clock of the marks.
 */
export async function judge(
  marks: readonly Mark[],
  token: TokenStanding,
  firstSeenAt: number | undefined,
  records: LoginRecords | undefined,
): Promise<Judgement | undefined> {
  let lags = false
  const asked = async (name: string, how?: { readonly current: boolean }) => {
    const state = await records?.read(name, how)
    lags ||= state?.lags === true
    return state
  }
  const judged = await judgeBy(records && asked, marks, token, firstSeenAt)
  if (judged === undefined || !lags) return judged
  // A copy may not have heard yet of the login that this token is of. Whoever is let in costs no question by that.
  return judgeBy((name) => asked(name, { current: true }), marks, token, firstSeenAt)
}

type Read = (name: string) => Promise<SessionState | undefined>

async function judgeBy(
  read: Read | undefined,
  marks: readonly Mark[],
  token: TokenStanding,
  firstSeenAt: number | undefined,
): Promise<Judgement | undefined> {
  const own = marks.find(({ scope }) => scope === 'token')
  if (own !== undefined) return { mark: own, evidence: 'token-mark', isFinal: true }
  const others = marks.filter(({ scope }) => scope === 'sid' || scope === 'sub')
  if (others.length === 0) return undefined
  const [key] = token.keys
  const ofItself = token.isWhole && key !== undefined ? await loginOf(read, ofToken(key)) : undefined
  if (ofItself !== undefined) return coveredBy(others, ofItself, 'login-of-token')
  const ofItsSid = token.sidKey === undefined ? undefined : await latestLoginOf(read, token.sidKey)
  // A token that is older than the login is of another one, before it.
  const latest = (token.issuedAt ?? Number.NEGATIVE_INFINITY) + ONE_ANSWER_SECONDS
  if (ofItsSid !== undefined && latest >= (ofItsSid.issuedAt ?? Number.POSITIVE_INFINITY)) {
    const judged = coveredBy(others, ofItsSid, 'login-of-sid')
    // Where that login's tokens are recorded, one that is not may be another's; of claims alone nobody can say.
    if (judged !== undefined || !token.isWhole || !hasRecordedTokens(ofItsSid)) return judged
  }
  const mark = others.find((each) => ends(each, token, firstSeenAt))
  return mark && { mark, evidence: 'dates', isFinal: read === undefined }
}

function coveredBy(marks: readonly Mark[], login: SignOn, evidence: Evidence): Judgement | undefined {
  const mark = marks.find((each) => covers(each, { ...login, subKey: each.subKey ?? '' }))
  return mark && { mark, evidence, isFinal: evidence === 'login-of-token' }
}

async function loginOf(read: Read | undefined, name: string): Promise<Binding | undefined> {
  const state = await read?.(name)
  return state?.ended ? undefined : state?.binding
}

async function latestLoginOf(read: Read | undefined, sidKey: string): Promise<Binding | undefined> {
  const latest = await loginOf(read, latestOf(sidKey))
  return latest?.endsAt === undefined ? undefined : loginOf(read, ofSid(sidKey, -latest.endsAt))
}
