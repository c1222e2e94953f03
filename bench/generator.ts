// The load generator's process: it plays the OP and the browsers, and holds every token that is sent.
import { type Load, load } from './http-load.js'
import { Op } from './op.js'
import { answer } from './remote.js'

let op: Op | undefined
let deliveries: readonly Buffer[] = []
let isOver = false

const commands = {
  /** Starts the OP; gives its issuer identifier. */
  async startOp(): Promise<string> {
    op = await Op.start()
    return op.issuer
  },
  /** Signs the next deliveries, for as many receivers as there are: each of them gets each token once. */
  async sign({ from, count }: { from: number; count: number }): Promise<void> {
    deliveries = (await op?.deliveries(from, count)) ?? []
  },
  deliver: ({ port, connections, status }: Omit<Load, 'requests'>) =>
    load({ port, connections, status, requests: deliveries }),
  /** The same requests over and over, e.g. page views; `heads` without the empty line at their end. */
  request: ({ heads, count, ...rest }: { heads: readonly string[]; count: number } & Omit<Load, 'requests'>) => {
    const buffers = heads.map((head) => Buffer.from(`${head}\r\n\r\n`, 'latin1'))
    const requests = Array.from({ length: count }, (_, i) => buffers[i % buffers.length] ?? Buffer.alloc(0))
    isOver = false
    return load({ ...rest, requests, isOver: () => isOver })
  },
  /** Ends a running `request`. */
  enough(): void {
    isOver = true
  },
}

export type Generator = typeof commands

answer(commands)
