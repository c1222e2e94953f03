// Deadlines: nothing that this package awaits from outside may hang it. A late result is dropped, never acted on twice.
import { LogoutError } from './errors.js'

/**
 * The outcome of `work`, or a rejection with `ERR_DEADLINE` after so many seconds, whichever comes first. The work itself
 * is not stopped. The timer does not keep the process alive.
 */
export function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new LogoutError('ERR_DEADLINE', 'A deadline passed before the work was done')),
      Math.max(0, seconds) * 1000,
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
