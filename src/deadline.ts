// Deadlines: nothing that this package awaits from outside may hang it. A late result is dropped, never acted on twice.
import { LogoutError } from './errors.js'

/** Asked only by who has to wait, since each signal is a timer: the signal that ends the wait. */
export type GiveUp = () => AbortSignal

/** Timers fire at once where a delay is more milliseconds than 31 bits hold, which is 24 days. */
export const LONGEST_DELAY_SECONDS = 2_147_483

/** Longer delays are taken for none by timers. Two weeks and more than any deadline. */
const MAX_DELAY_MILLISECONDS = 2 ** 31 - 1

/** Seconds as timers take them: whole milliseconds. */
export function milliseconds(seconds: number): number {
  return Math.ceil(Math.min(Math.max(0, seconds) * 1000, MAX_DELAY_MILLISECONDS))
}

/** Seconds that only go forward, whatever becomes of the wall clock. Only differences mean anything. */
export function monotonicSeconds(): number {
  return performance.now() / 1000
}

/** What has elapsed is measured by this process's own, and where an application gives its clock, by that alone. */
export function elapsedBy(clock: (() => number) | undefined): () => number {
  return clock ?? monotonicSeconds
}

/** A moment by both clocks: the one can be set, the other stands still while the machine sleeps. */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

export function momentsBy(clock: () => number, monotonic: () => number): () => Moment {
  return () => ({ monotonic: monotonic(), wall: clock() })
}

/**
 * How long ago that was, by whichever clock says more: for what is believed only for a while. A clock that was set back
 * makes things old, not eternal.
 */
export function ageOf(then: Moment, now: Moment): number {
  return Math.max(now.monotonic - then.monotonic, Math.abs(now.wall - then.wall))
}

/**
 * Aborts after so many seconds, or when the other signal does. Not by `AbortSignal.timeout`: one that nothing but
 * `AbortSignal.any` holds may be collected before it fires in Node 20.
 */
export function timeoutOr(seconds: number, other: AbortSignal): AbortSignal {
  const late = new AbortController()
  const abort = () => late.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
  setTimeout(abort, milliseconds(seconds)).unref()
  return AbortSignal.any([late.signal, other])
}

/** Whether it is still to come, by whosever promises. */
export function isToCome<T>(outcome: T | Promise<T>): outcome is Promise<T> {
  return outcome instanceof Promise || (typeof outcome === 'object' && outcome !== null && 'then' in outcome)
}

/**
 * The outcome of `work`, or a rejection with `ERR_DEADLINE` after so many seconds, whichever comes first. The work
 * itself is not stopped. The timer does not keep the process alive.
 */
export function within<T>(seconds: number, work: T | Promise<T>): Promise<T> {
  if (!isToCome(work)) return Promise.resolve(work)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new LogoutError('ERR_DEADLINE', 'A deadline passed before the work was done')),
      milliseconds(seconds),
    )
    timer.unref()
    work.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** Whether `within` gave up waiting; any other error is the work's own. */
export function isLate(error: unknown): boolean {
  return error instanceof LogoutError && error.code === 'ERR_DEADLINE'
}

/**
 * Waits for shared work no longer than one request may. The work itself goes on: others wait for it too.
 * Rejects with the signal's reason when it aborts first.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
