// Whether the `destroy` of a session store may ask that same store, as one does that reads a row before it removes it.
// What tells such a question from a request's costs every promise of the process, so it is not paid for stores that are
// known.
import { sha256 } from '../marks/target.js'

/** Of methods that were read, SHA-256 of their text: they remove a row, and ask nothing. Any other may ask. */
const ASK_NOTHING: ReadonlySet<string> = new Set([
  'd7kFVe3ctMujjI40xxdF8XzO2mza4cFZvs2N0n4rTQY', // the MemoryStore of express-session 1.17 to 1.19
  'sWbLXTw98wS2mU2uCRKoQv_nVdKCyuIwfxUTucPyFpU', // connect-redis 7
  'DhPbczK-zpM2Eic_vyO3f3T7tjKtyEPJcB3GH6Rs74w', // connect-redis 8 and 9
  'G4sOSqiHw_w4-_hqoRGfPYkoUmrS7aR6XPJYcIUj-Nk', // connect-pg-simple 9 and 10
])

/** `false` only for a store that is an instance of the class itself: a subclass may replace what that method calls. */
export function mayAskItself(store: object): boolean {
  const destroy: unknown = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(store) ?? {}, 'destroy')?.value
  if (typeof destroy !== 'function' || Reflect.get(store, 'destroy') !== destroy) return true
  return !ASK_NOTHING.has(sha256(Function.prototype.toString.call(destroy).replaceAll(/\s+/g, ' ')))
}
