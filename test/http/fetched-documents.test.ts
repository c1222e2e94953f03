import { createServer, type RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { fetchDocument } from '../../src/http/fetched-documents.js'
import { UNHURRIED } from '../tokens/verifying.js'

const MEBIBYTE = 1_048_576

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function fetchFrom(listener: RequestListener, signal = UNHURRIED): Promise<Response> {
  const server = createServer(listener)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return fetchDocument(`http://127.0.0.1:${address.port}/jwks`, { headers: { Accept: 'application/json' }, signal })
}

describe('fetchDocument', () => {
  it('asks for JSON and hands back the whole body', async () => {
    const response = await fetchFrom((req, res) => res.end(JSON.stringify(req.headers.accept)))
    expect(await response.json()).toBe('application/json')
  })

  it('takes a body of exactly 1 MiB', async () => {
    const response = await fetchFrom((_, res) => res.end('x'.repeat(MEBIBYTE)))
    expect((await response.arrayBuffer()).byteLength).toBe(MEBIBYTE)
  })

  it('refuses a byte more, and ends the connection instead of reading on', async () => {
    let cut: Promise<void> | undefined
    const fetched = fetchFrom((_, res) => {
      cut = new Promise((closed) => res.on('close', closed))
      const more = () => {
        while (res.write('x'.repeat(65_536)));
        res.once('drain', more)
      }
      more()
    })
    await expect(fetched).rejects.toThrow('too large')
    await cut
  })

  it('measures what a compressed body becomes', async () => {
    const bomb = gzipSync('x'.repeat(MEBIBYTE + 1))
    expect(bomb.length).toBeLessThan(10_000)
    const fetched = fetchFrom((_, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb))
    await expect(fetched).rejects.toThrow('too large')
  })

  it.each([201, 204, 301, 302, 304, 307, 400, 401, 404, 500, 503])(
    'refuses status %d, and follows nothing',
    async (status) => {
      let asked = 0
      const fetched = fetchFrom((_, res) => {
        asked += 1
        res.writeHead(status, { location: '/elsewhere' }).end()
      })
      await expect(fetched).rejects.toThrow(`status ${status}`)
      expect(asked).toBe(1)
    },
  )

  it.each([
    ['neither answers nor heeds its signal', () => new Promise<Response>(() => {})],
    ['never ends its answer', async () => new Response(new ReadableStream())],
  ])('does not wait for a fetch that %s', async (_, fetch) => {
    const request = new AbortController()
    const about = { headers: {}, signal: request.signal, fetch }
    const fetched = fetchDocument('https://op.example.com/jwks', about)
    request.abort(new Error('late'))
    await expect(fetched).rejects.toThrow('late')
  })

  it('gives up with its signal, also in the middle of a body', async () => {
    const request = new AbortController()
    const fetched = fetchFrom((_, res) => {
      res.write('{"keys":[')
      setImmediate(() => request.abort(new Error('late')))
    }, request.signal)
    await expect(fetched).rejects.toThrow('late')
  })
})
