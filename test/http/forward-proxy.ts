// A forward proxy for tests, as a company has one: CONNECT (RFC 9110 9.3.6) and requests in absolute form (RFC 9112
// 3.2.2). It alone knows where the names lead, so whatever arrives came through it.
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'

export interface ForwardProxy {
  readonly url: string
  /** The hosts it was asked for, in order. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** `port`: where every name leads, on loopback. */
export async function startForwardProxy(port: number): Promise<ForwardProxy> {
  const asked: string[] = []
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '')
    asked.push(url.hostname)
    const options = { port, path: url.pathname + url.search, method: req.method, headers: req.headers }
    const onward = request({ host: '127.0.0.1', ...options }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  server.on('connect', (req, socket) => {
    asked.push(req.url?.split(':')[0] ?? '')
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.pipe(socket)
      socket.pipe(onward)
    })
    for (const end of [onward, socket]) end.on('error', () => (end === onward ? socket : onward).destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
