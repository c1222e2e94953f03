// A server on a loopback port, listening before its app exists, because the app's own URLs hold the port. Knows no app.
import { createServer, type Server } from 'node:http'

export interface Listening {
  readonly server: Server
  /** Origin without a trailing slash, e.g. `http://127.0.0.1:3000`. */
  readonly url: string
  /** Stops accepting, ends open connections (event streams too) and resolves when the port is free. */
  close(): Promise<void>
}

/** Listens on loopback only; port 0 takes any free one. Rejects if the port is taken. */
export async function listen(port: number): Promise<Listening> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('A TCP port is needed')
  return {
    server,
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}
