// A TCP proxy that fails on command: the network between a process and its store. Knows nothing of what passes through
// it.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface TcpProxy {
  readonly port: number
  /** Breaks every connection, and each new one as soon as it is made. */
  cut(): void
  /** Nothing passes any more, in either direction, and no connection is broken: what was sent waits. */
  stall(): void
  /** Every byte takes so much longer, in either direction. */
  slowDown(milliseconds: number): void
  /** Passes everything on again, what waits first. */
  restore(): void
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1, in front of `targetPort` there. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  let delayMs = 0
  let open = Promise.resolve()
  let reopen = () => {}

  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const pump = (from: Socket, to: Socket) => {
    let last = Promise.resolve()
    from.on('data', (chunk: Buffer) => {
      const due = performance.now() + delayMs
      last = last.then(async () => {
        const wait = due - performance.now()
        if (wait > 0) await delay(wait)
        await open
        if (!to.destroyed) to.write(chunk)
      })
    })
    from.on('close', () => to.destroy())
  }
  const server = createServer((client) => {
    keep(client)
    if (isCut) return void client.destroy()
    const upstream = connect(targetPort, '127.0.0.1')
    keep(upstream)
    pump(client, upstream)
    pump(upstream, client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  const restore = () => {
    isCut = false
    delayMs = 0
    reopen()
    reopen = () => {}
    open = Promise.resolve()
  }
  return {
    port: address.port,
    cut() {
      isCut = true
      breakAll()
    },
    stall() {
      reopen()
      open = new Promise((resolve) => {
        reopen = resolve
      })
    },
    slowDown(milliseconds) {
      delayMs = milliseconds
    },
    restore,
    async close() {
      restore()
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
