// When a login was begun, by the store's clock: the one clock by which marks are dated.
import { type SignOnsOptions, step } from './options.js'

/** What o'clock it is at the store; each question teaches by how much this RP's clock differs. Rejects as the store does. */
export async function askStoreTime(options: SignOnsOptions): Promise<number> {
  const { store, storeClock } = options
  const begun = storeClock.begin()
  const { now } = await step(options, store.marks([]))
  storeClock.learn(now, begun)
  return now
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
