// Access tokens live and die with their session: marked on every node, and dropped from this process's cache. Knows no
// session.
import { LogoutError } from '../errors.js'
import type { Mark } from '../marks/covering.js'
import { type SignOnsOptions, step } from './options.js'

/** Marks first, all of them; then the cache of this process. */
export async function endTokens(tokenKeys: readonly string[], options: SignOnsOptions): Promise<void> {
  const { store, claims, storeClock, marksLifetimeSeconds } = options
  const about = { seenSecondsAgo: 0, marksExpireAt: storeClock.expiry(marksLifetimeSeconds), mayDestroy: true }
  const marks: Mark[] = []
  for (const key of tokenKeys) {
    const target = { scope: 'token', key } as const
    const begun = await step(options, store.begin({ target, ...about }))
    if (!begun.replayed) marks.push(begun.mark)
  }
  if (claims === undefined) return
  try {
    for (const mark of marks) {
      const { key } = mark
      await step(options, Promise.resolve(claims.evict({ target: { scope: 'token', key }, mark, tokenKeys: [key] })))
    }
  } catch (cause) {
    throw new LogoutError('ERR_EVICT', 'The session is ended, but its cached claims were not evicted', { cause })
  }
}
