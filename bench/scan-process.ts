// What users do without an index: read every session of the store, keep those of the user, destroy them.
import session from 'express-session'
import { subOf } from './op.js'
import { newSessionId, saveSession } from './receivers.js'
import { answer } from './remote.js'

const store = new session.MemoryStore()

const commands = {
  async fill({ sessions }: { sessions: number }): Promise<void> {
    for (let n = 0; n < sessions; n++) await saveSession(store, newSessionId(), subOf(n))
  },
  /** Processor microseconds per user ended. */
  async end({ from, users }: { from: number; users: number }): Promise<number> {
    const begun = process.cpuUsage()
    for (let n = from; n < from + users; n++) {
      const destroyed = await endSessionsOf(subOf(n))
      if (destroyed !== 1) throw new Error(`${destroyed} sessions were found where there is one`)
    }
    const { user, system } = process.cpuUsage(begun)
    return (user + system) / users
  },
}

export type ScanProcess = typeof commands

function endSessionsOf(user: string): Promise<number> {
  return new Promise((resolve, reject) => {
    store.all((error, found) => {
      if (error) return reject(error)
      const ids = Object.entries(found ?? {}).filter(([, data]) => 'user' in data && data.user === user)
      for (const [id] of ids) store.destroy(id)
      resolve(ids.length)
    })
  })
}

answer(commands)
