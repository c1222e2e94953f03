// The process of one receiver, and its own account of the processor time it used.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RECEIVERS, type Receiver, type ReceiverContext, type ReceiverName } from './receivers.js'
import { answer } from './remote.js'

let receiver: Receiver | undefined
let before = process.cpuUsage()

const commands = {
  async start({ name, context }: { name: ReceiverName; context: ReceiverContext }) {
    receiver = await RECEIVERS[name](context)
    const server = createServer(receiver.handler)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: (server.address() as AddressInfo).port, status: receiver.status }
  },
  signIn: async ({ from, count }: { from: number; count: number }) => receiver?.signIn(from, count),
  remaining: async () => receiver?.remaining() ?? 0,
  measure() {
    before = process.cpuUsage()
  },
  /** Microseconds of processor time since `measure`, all threads and the kernel's part included. */
  measured() {
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
}

export type ReceiverProcess = typeof commands

answer(commands)
