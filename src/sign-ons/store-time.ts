// What o'clock it is at the store, by whose clock marks are dated: for logins that say when they were begun, and for
// what this process denies without a mark there.
import { type Denial, markOf } from '../logout/denied-here.js'
import type { Mark } from '../marks/covering.js'
import type { StoreClock } from '../stores/store-clock.js'
import { type SignOnsOptions, step } from './options.js'

/**
 * What o'clock it is at the store; each question teaches by how much this RP's clock differs. Rejects as the store
 * does.
 */
export async function askStoreTime(options: SignOnsOptions): Promise<number> {
  const { store, storeClock } = options
  const begun = storeClock.moment()
  const { now } = await step(options, store.marks([]))
  storeClock.learn(now, begun)
  return now
}

const asking = new WeakMap<StoreClock, Promise<number>>()

/** Many requests of one user may wait for the same answer. */
function askOnce(options: SignOnsOptions): Promise<number> {
  const { storeClock } = options
  const known = asking.get(storeClock)
  if (known !== undefined) return known
  const asked = askStoreTime(options).finally(() => asking.delete(storeClock))
  asking.set(storeClock, asked)
  return asked
}

function isDated({ seenAt }: Mark): boolean {
  return seenAt !== Number.POSITIVE_INFINITY
}

/**
 * What this process denies under these keys, each mark with its date. Where one has none the store is asked what
 * o'clock it is, or that logout would end the logins that came after it. Rejects as the store does, and where its
 * answer dates nothing. `before`: what was denied before it was asked about these keys.
 */
export function denialsUnder(
  keys: readonly (string | undefined)[],
  options: SignOnsOptions,
  before: readonly Denial[] = [],
): readonly Mark[] | Promise<readonly Mark[]> {
  const now = options.deniedHere.under(keys)
  // Nearly always: this is asked with each page view.
  if (now.length === 0 && before.length === 0) return []
  const denials = [...new Set([...before, ...now])]
  const marksNow = () => denials.map((denial) => markOf(denial, options.storeClock))
  const marks = marksNow()
  if (marks.every(isDated)) return marks
  // These, whether or not they are released meanwhile: the marks that replace them came too late to be read before.
  return askOnce(options).then(() => {
    const dated = marksNow()
    if (!dated.every(isDated)) throw new Error("the store's clock cannot be told from this one")
    return dated
  })
}

/**
 * The earliest that it can have been at the store when it was `startedAt` here. Absent where that cannot be found out:
 * the login is judged by the dates of its tokens then, as one that did not say when it was begun.
 */
export async function startedAtStore(
  startedAt: number | undefined,
  options: SignOnsOptions,
): Promise<number | undefined> {
  if (startedAt === undefined) return undefined
  const { storeClock, clock } = options
  if (startedAt > clock()) return undefined
  if (!storeClock.isKnown()) await askStoreTime(options).catch(() => {})
  return storeClock.earliest(startedAt)
}
