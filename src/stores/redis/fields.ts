// How keys, ids, marks and bindings lie in Redis: lines of fields with a space between them, so that scripts can put
// them together and take them apart at little cost. Knows no command.
import type { Mark } from '../../marks/covering.js'
import { sha256 } from '../../marks/target.js'
import { type Binding, JTI_SPARE_SECONDS, type JtiKey, type NewBinding, type SessionState } from '../logout-store.js'
import { listOf, numberOf, textOf, unexpected } from '../reply.js'

const UNSAFE = /[^!-$&-~\u0080-\uffff]/g
/** What no other text is escaped to. */
const NOTHING = '%'

/**
 * A text as a field: without spaces, and no other text's. Keys and session ids as they are usually made stay as they
 * are.
 */
export function field(text: string): string {
  if (text === '') return NOTHING
  return text.replace(UNSAFE, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** The text that was made a field. */
export function unescaped(value: string): string {
  if (!value.includes('%')) return value
  return value === NOTHING ? '' : value.replace(/%(..)/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
}

/** The texts of a list of fields. */
export function textsOf(fields: unknown): readonly string[] {
  return listOf(fields).map((each) => unescaped(textOf(each)))
}

/** Absent is the empty field. */
export function optional(text: string | undefined): string {
  return text === undefined || text === '' ? '' : field(text)
}

/** Keys are hashes already, and 96 bits of them are enough to be rarely shared. */
export function nameOfKey(key: string): string {
  return key.slice(0, 16)
}

/** 96 bits, because session ids are random: it only keeps them out of the names of keys. */
export function nameOfSession(sessionId: string): string {
  return sha256(sessionId).slice(0, 16)
}

/** Redis keeps keys to the millisecond: rounded up, since to forget early is the only harm that an expiry can do. */
export function milliseconds(time: number): string {
  return String(Math.ceil(time * 1000))
}

/** Until when a jti is remembered, in milliseconds. */
export function rememberedUntil(jti: JtiKey): string {
  return milliseconds(jti.expiresAt + JTI_SPARE_SECONDS)
}

/** The store's clock, as records and marks have it. */
export function microseconds(time: number): string {
  return String(Math.round(time * 1_000_000))
}

/** The store's clock in seconds. */
export function secondsOf(microsecondsText: unknown): number {
  return numberOf(microsecondsText) / 1_000_000
}

/** The date of a Logout Token; `-` where there was none. */
export function issuedField(issuedAt: number | undefined): string {
  return issuedAt === undefined ? '-' : String(issuedAt)
}

/**
 * What a login says of itself, with slashes between and as far as there is anything: its `iat`, when it was begun, when
 * it ends by itself, how long it may go unused, and what is listed with it.
 */
export function saidByLogin({
  issuedAt,
  startedAt,
  endsAt,
  idleSeconds,
  about,
}: Pick<NewBinding, 'issuedAt' | 'startedAt' | 'endsAt' | 'idleSeconds' | 'about'>): string {
  const listed = about === undefined ? '' : Buffer.from(about).toString('base64url')
  return `${issuedAt ?? ''}/${startedAt ?? ''}/${endsAt ?? ''}/${idleSeconds ?? ''}/${listed}`.replace(/\/+$/, '')
}

/** What is listed with a login that said this. */
export function aboutIn(said: unknown): string | undefined {
  const listed = textOf(said).split('/')[4]
  return listed === undefined ? undefined : Buffer.from(listed, 'base64url').toString()
}

export function markLine({ scope, key, subKey, issuedAt, seenAt, expiresAt }: Mark): string {
  return `${scope} ${field(key)} ${optional(subKey)} ${issuedField(issuedAt)} ${microseconds(seenAt)} ${expiresAt}`
}

export function markOf(line: unknown): Mark {
  const [scope, key, subKey, issuedAt, seenAt, expiresAt] = textOf(line).split(' ')
  if (scope !== 'sid' && scope !== 'sub' && scope !== 'sidless' && scope !== 'token') throw unexpected()
  const mark: Mark = {
    scope,
    key: unescaped(textOf(key)),
    ...(issuedAt !== '-' && { issuedAt: numberOf(issuedAt) }),
    seenAt: secondsOf(seenAt),
    expiresAt: numberOf(expiresAt),
  }
  return subKey === '' ? mark : { ...mark, subKey: unescaped(textOf(subKey)) }
}

/** The marks of one name that are live; `key`: only those of this key, for a name is cut short. */
export function marksOf(lines: unknown, now: number, key?: string): readonly Mark[] {
  const text = textOf(lines)
  if (text === '') return []
  const marks = text.split('\n').map(markOf)
  return marks.filter((mark) => mark.expiresAt > now && (key === undefined || mark.key === key))
}

/** A sign-on as a script tells it. */
export function bindingOf(sessionId: string, signOn: readonly unknown[]): Binding {
  const [dates, boundAt, expiresAt, sub, sid] = signOn
  const [issuedAt = '', startedAt = '', endsAt = '', idleSeconds = ''] = textOf(dates).split('/')
  return {
    sessionId,
    subKey: unescaped(textOf(sub)),
    sidKey: sid === '' ? undefined : unescaped(textOf(sid)),
    issuedAt: issuedAt === '' ? undefined : numberOf(issuedAt),
    startedAt: startedAt === '' ? undefined : numberOf(startedAt),
    boundAt: secondsOf(boundAt),
    expiresAt: numberOf(expiresAt),
    ...(endsAt !== '' && { endsAt: numberOf(endsAt) }),
    ...(idleSeconds !== '' && { idleSeconds: numberOf(idleSeconds) }),
  }
}

/** A record, and where it cannot be judged alone: what o'clock it is in the store and the marks against it. */
export function stateOf(sessionId: string, reply: readonly unknown[]): SessionState {
  const [record, now, bySub = '', bySid = ''] = reply
  if (record === undefined) return { ended: false, marks: [] }
  const [first = ''] = textOf(record).split('\n', 1)
  const fields = first.split(' ')
  const [state = ''] = fields
  const time = now === undefined ? 0 : secondsOf(now)
  const ended = state.length > 1 && numberOf(fields.at(-1)) > time
  if (state[0] !== '1' && state[0] !== '3') return { ended, marks: [] }
  const binding = bindingOf(sessionId, fields.slice(1))
  if (binding.expiresAt <= time) return { ended, marks: [] }
  return { ended, binding, marks: marksAgainst(binding, time, bySub, bySid) }
}

/** The marks under both keys of a sign-on, each as a script tells them. */
export function marksAgainst(
  { subKey, sidKey }: Pick<Binding, 'subKey' | 'sidKey'>,
  now: number,
  bySub: unknown,
  bySid: unknown,
): readonly Mark[] {
  const marks = marksOf(bySub, now, subKey)
  return sidKey === undefined ? marks : [...marksOf(bySid, now, sidKey), ...marks]
}
