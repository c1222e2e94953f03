// Removes the folder that another process worked in.
import { rmSync } from 'node:fs'

const TRIES = 5

/**
 * A process that was just killed may leave a file in it that was not there when the folder was read (seen of Redis in a
 * cluster), and `rmSync` reads it once only. What stays then is said, and fails no test: it is nothing of what is tried.
 */
export function removeFolder(path: string, remove: typeof rmSync = rmSync): void {
  for (let tries = 1; tries <= TRIES; tries++) {
    try {
      remove(path, { recursive: true, force: true, maxRetries: 1 })
      return
    } catch (error) {
      if (tries === TRIES) process.stderr.write(`\n*** ${path} could not be removed: ${error} ***\n\n`)
    }
  }
}
