// No express-session store brings a dead session back: the matrix on the stores that need no server.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import session from 'express-session'
import { afterAll } from 'vitest'
import { describeSessionStore } from './session-store-matrix.js'
import { StoreWithoutTouch } from './store-without-touch.js'

/** It has no types of its own. */
const fileStore: (factory: typeof session) => new (options: object) => session.Store = createRequire(import.meta.url)(
  'session-file-store',
)
const FileStore = fileStore(session)

const directories: string[] = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** In memory where the machine has such a folder: the store waits for the disk at each write. */
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

function newDirectory(): string {
  const directory = mkdtempSync(join(place, 'sessions-'))
  directories.push(directory)
  return directory
}

describeSessionStore('MemoryStore', () => new session.MemoryStore())

describeSessionStore('a store without touch', () => new StoreWithoutTouch(), { hasTouch: false })

describeSessionStore(
  'session-file-store',
  // No retries: it waits for missing files, which here are the sessions that were rightly destroyed.
  () => new FileStore({ path: newDirectory(), retries: 0, reapInterval: -1, logFn: () => {} }),
)
