// The process of one receiver, and its own account of the processor time it used.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import {
  bindUser,
  newSessionId,
  RECEIVERS,
  type Receiver,
  type ReceiverContext,
  type ReceiverName,
} from './receivers.js'
import { answer } from './remote.js'

let receiver: Receiver | undefined
let issuer = ''
let before = process.cpuUsage()

const commands = {
  async start({ name, context }: { name: ReceiverName; context: ReceiverContext }) {
    issuer = context.issuer
    receiver = await RECEIVERS[name](context)
    const server = createServer(receiver.handler)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: (server.address() as AddressInfo).port, status: receiver.status }
  },
  signIn: async ({ from, count }: { from: number; count: number }) => receiver?.signIn(from, count),
  remaining: async () => receiver?.remaining() ?? 0,
  /** Users with many sessions each: the n-th session of a user has an OP session of its own. */
  async signInUsers({ from, users, sessionsEach }: { from: number; users: number; sessionsEach: number }) {
    const logout = ourLogout()
    for (let n = from; n < from + users; n++) {
      for (let i = 0; i < sessionsEach; i++) await bindUser(logout, issuer, newSessionId(), n, `${sidOf(n)}-${i}`)
    }
  },
  /** Ends the users one after the other by their `sub`; processor microseconds each. */
  async endUsers({ from, users, sessionsEach }: { from: number; users: number; sessionsEach: number }) {
    const logout = ourLogout()
    const begun = process.cpuUsage()
    for (let n = from; n < from + users; n++) {
      const { destroyed } = await logout.terminate({ issuer, clientId: CLIENT_ID, sub: subOf(n) })
      if (destroyed !== sessionsEach) throw new Error(`${destroyed} of ${sessionsEach} sessions were ended`)
    }
    return micros(begun) / users
  },
  /** Bytes of heap in use, after a collection. */
  heapBytes() {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  },
  /**
   * From here on. What is left of the sign-ins in the young generation is swept up before, so that no request pays for
   * it.
   */
  measure() {
    globalThis.gc?.({ type: 'minor', execution: 'sync' })
    before = process.cpuUsage()
  },
  /** Microseconds of processor time since `measure`, all threads and the kernel's part included. */
  measured() {
    return micros(before)
  },
}

function micros(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return user + system
}

function ourLogout() {
  if (receiver?.logout === undefined) throw new Error('this receiver has no terminate')
  return receiver.logout
}

export type ReceiverProcess = typeof commands

answer(commands)
