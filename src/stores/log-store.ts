// The port of a store that also keeps a log of what was ended, so that nodes can follow it instead of asking each time.
import type { Mark } from '../marks/covering.js'
import type { LogoutStore } from './logout-store.js'

/** What happened since a cursor. Repeats are possible, gaps are not. */
export interface LogPage {
  /** Where to go on. Opaque. */
  readonly cursor: string
  /** The store's clock, in epoch seconds. */
  readonly now: number
  /** True: the cursor could not be followed (or there was none), and `marks` are all live marks there are. */
  readonly reset: boolean
  /** Marks written or merged since, as they stood then. */
  readonly marks: readonly Mark[]
  /** Sessions that were bound anew, moved, ended or unbound since: what was known of them is out of date. */
  readonly sessionIds: readonly string[]
  /** Those of them that were ended, by a logout of the OP or a local one. */
  readonly endedIds: readonly string[]
  /** Changes of a session id: the old one, and that to which its sign-on moved on. */
  readonly moves: readonly (readonly [from: string, to: string])[]
}

/** A logout store with a log. */
export interface LogStore extends LogoutStore {
  /**
   * Everything acknowledged before this call began and after the cursor's. Rejects if it cannot say; a page is complete
   * or it is not returned.
   */
  pull(cursor?: string | undefined): Promise<LogPage>
}
