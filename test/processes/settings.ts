// The side of the process: what a program of this folder was started with, and how it speaks with the test that started
// it.

/** Name of the environment variable. */
export const SETTINGS = 'BCL_TEST_PROCESS'

/** What it was started with. It ends with the process that started it. */
export function settings<T>(): T {
  process.on('disconnect', () => process.exit(0))
  return JSON.parse(process.env[SETTINGS] ?? '{}') as T
}

/** Says that it is ready. */
export function sayReady(ready: object): void {
  process.send?.(ready)
}

/** Hears what it is told. */
export function onTold<T>(hear: (message: T) => void): void {
  process.on('message', (message) => {
    hear(message as T)
    process.send?.('heard')
  })
}
