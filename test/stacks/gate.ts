// A gate that a recipe's program is made to pass by a test: it lets through, refuses, or holds until it is opened.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'

export interface Gate {
  /** The program asks here; 200 lets it through. */
  readonly url: string
  open(): void
  refuse(): void
  /** Holds whoever comes from now on; resolves when somebody has come. */
  hold(): Promise<void>
  close(): Promise<void>
}

export async function startGate(): Promise<Gate> {
  const waiting: ServerResponse[] = []
  let status: number | undefined = 200
  let arrived = () => {}
  const server = createServer((_req, res) => {
    if (status !== undefined) return void res.writeHead(status).end()
    waiting.push(res)
    arrived()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const become = (next: number) => {
    status = next
    for (const res of waiting.splice(0)) res.writeHead(next).end()
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    open: () => become(200),
    refuse: () => become(500),
    hold: () => {
      status = undefined
      return new Promise((resolve) => {
        arrived = resolve
      })
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
