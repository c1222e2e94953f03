// A fake OP, and a receiver that answers as it is told.
import { createServer } from 'node:http'
import { afterEach } from 'vitest'
import { createFakeOp, type FakeOp } from '../../src/testing/fake-op.js'

export const toClose: (() => Promise<void>)[] = []
/** Each test file calls it: this module is run once, for several of them. */
export function withClosers(): void {
  afterEach(async () => {
    for (const close of toClose.splice(0)) await close()
  })
}

export async function startOp(issuerPath = ''): Promise<FakeOp> {
  const op = await createFakeOp({ clientId: 'rp', algorithm: 'ES256', issuerPath })
  toClose.push(op.close)
  return op
}

/** A receiver of sorts: answers with the statuses given, one after another, and keeps what it was sent. */
export async function startReceiver(
  ...statuses: (number | 'never')[]
): Promise<{ url: string; bodies: URLSearchParams[] }> {
  const bodies: URLSearchParams[] = []
  const server = createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    bodies.push(new URLSearchParams(body))
    const status = statuses.shift() ?? 200
    if (status === 'never') return
    if (status === 0) req.socket.destroy()
    else res.writeHead(status, status === 302 ? { location: '/login' } : {}).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  toClose.push(() => {
    server.closeAllConnections()
    return new Promise((closed) => server.close(() => closed()))
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/logout`, bodies }
}
