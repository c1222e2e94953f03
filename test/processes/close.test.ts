// A receiver that is closed while its provider is silent: its process ends at once, by itself.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import { startChild } from './child.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A provider that says nothing at one place; and the moment at which it is asked there. */
async function silentAt(path: string) {
  let asked = () => {}
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  const server = createServer((req, res) => {
    if (req.url === path) return asked()
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks`, revocation_endpoint: `${issuer}/revoke` }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const issuer = `http://127.0.0.1:${address.port}`
  return { issuer, isAsked }
}

const DISCOVERY = '/.well-known/openid-configuration'

// What is asked for is given up by itself after 10, 10, 10, 3 and 5 seconds.
it.each([
  ['prepare', DISCOVERY],
  ['prepare', '/jwks'],
  ['login', '/jwks'],
  ['logout', DISCOVERY],
  ['logout', '/revoke'],
] as const)('by %s, silent at %s', async (begin, path) => {
  const { issuer, isAsked } = await silentAt(path)
  const child = await startChild('close-process.ts', { issuer, begin })
  closing.push(() => child.kill())
  await isAsked
  expect(child.isGone()).toBe(false)
  const closedAt = performance.now()
  await child.tell({ close: true })
  await child.gone
  expect(performance.now() - closedAt).toBeLessThan(2500)
  expect(child.complaints()).toBe('')
})
