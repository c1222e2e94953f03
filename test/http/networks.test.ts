// What goes out, through a real forward proxy: each request of the package, by the programs of docs/networks.md and by
// the variables of the environment. The provider's name leads nowhere but at the proxy.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { generateKeyPair } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClaims, createEvictionClient, createJwtCheck, createRelay } from '../../src/access-tokens/index.js'
import {
  createBackchannelLogout,
  type Fetch,
  type LogoutEvent,
  memoryStore,
  type ProviderOptions,
} from '../../src/index.js'
import { logoutEndpoints } from '../../src/providers/logout-endpoints.js'
import { resolveProvider } from '../../src/providers/provider.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { type ForwardProxy, startForwardProxy } from './forward-proxy.js'

const root = path.resolve(import.meta.dirname, '../..')
const page = readFileSync(path.join(root, 'docs/networks.md'), 'utf8')
const folder = mkdtempSync(path.join(import.meta.dirname, 'page-'))
const HOST = 'op.nowhere.invalid'
const issuer = `http://${HOST}`

let mint: TokenMint
let op: Server
let opPort: number
let proxy: ForwardProxy
let proxied: Fetch
let proxiedFetch: (proxy: string) => Fetch
let internal: (publicOrigin: string, internalOrigin: string) => Fetch

/** Metadata, keys, introspection, an API's eviction endpoint: answers whatever path ends so. */
function answer(pathname: string): { readonly status?: number; readonly json?: unknown } {
  if (pathname.endsWith('/openid-configuration')) {
    return {
      json: {
        issuer,
        jwks_uri: `${issuer}/jwks`,
        introspection_endpoint: `${issuer}/introspect`,
        end_session_endpoint: `${issuer}/end`,
      },
    }
  }
  if (pathname === '/jwks') return { json: mint.jwks }
  if (pathname === '/introspect') return { json: { active: true, sub: 'ada', client_id: 'my-rp', iss: issuer } }
  return pathname === '/evict' ? {} : { status: 404 }
}

beforeAll(async () => {
  mint = await createTokenMint({ issuer, clientId: 'my-rp' })
  op = createServer((req, res) => {
    req.resume().on('end', () => {
      const { status = 200, json } = answer(new URL(req.url ?? '', issuer).pathname)
      res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json))
    })
  })
  op.listen(0, '127.0.0.1')
  await once(op, 'listening')
  const address = op.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  opPort = address.port
  proxy = await startForwardProxy(opPort)
  for (const [, name = '', code = ''] of page.matchAll(/^```ts (\S+)\n([\s\S]*?)^```$/gm)) {
    writeFileSync(path.join(folder, name), code)
  }
  proxiedFetch = (await import(path.join(folder, 'proxied-fetch.ts'))).proxiedFetch
  internal = (await import(path.join(folder, 'internal-fetch.ts'))).internalFetch
})

afterAll(async () => {
  op.close()
  op.closeAllConnections()
  await proxy.close()
  rmSync(folder, { recursive: true })
})

const provider = (options: Partial<ProviderOptions> = {}): ProviderOptions => ({
  issuer,
  clientId: 'my-rp',
  dangerouslyAllowHttp: true, // the proxy of this test opens no TLS
  requestTimeoutSeconds: 20,
  ...options,
})

const receiver = (options: Partial<ProviderOptions>) =>
  createBackchannelLogout({ provider: provider(options), answerDeadlineSeconds: 30, onEvent: () => {} })

async function logOut({ fetch: receive }: ReturnType<typeof receiver>): Promise<number> {
  const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
  return (await receive(new Request('http://127.0.0.1/', { method: 'POST', body }))).status
}

/** How often the proxy was asked for the provider while this went on. */
async function throughTheProxy(act: () => Promise<unknown>): Promise<number> {
  const before = proxy.asked.length
  await act()
  const asked = proxy.asked.slice(before)
  expect(asked.filter((host) => host !== HOST)).toEqual([])
  return asked.length
}

// A tunnel is kept and used again; with a new one each test sees its own.
beforeEach(() => {
  proxied = proxiedFetch(proxy.url)
})

describe('one provider through a forward proxy', () => {
  it('metadata and keys: a logout is 200 with it, and cannot be judged without', async () => {
    expect(await throughTheProxy(async () => expect(await logOut(receiver({ fetch: proxied }))).toBe(200))).not.toBe(0)
    const seen: LogoutEvent[] = []
    await createBackchannelLogout({ provider: provider(), onEvent: (event) => seen.push(event) }).prepare()
    expect(seen).toMatchObject([{ type: 'warning', error: { code: 'ERR_KEYS_UNAVAILABLE' } }])
  })

  it('the metadata of a logout that begins here', async () => {
    const clock = () => Date.now() / 1000
    const withProxy = resolveProvider(provider({ fetch: proxied, jwks: mint.jwks }), clock)
    const asked = await throughTheProxy(async () =>
      expect((await logoutEndpoints()(withProxy)).endSession).toBe(`${issuer}/end`),
    )
    expect(asked).not.toBe(0)
  })

  it('introspection', async () => {
    const claims = createClaims({
      store: memoryStore(),
      introspection: {
        issuer,
        clientId: 'api',
        clientAuthentication: { method: 'client_secret_basic', clientSecret: 'secret' },
        fetch: proxied,
        timeoutSeconds: 20,
        dangerouslyAllowHttp: true,
      },
    })
    expect(await throughTheProxy(() => claims.lookup('a token'))).not.toBe(0)
  })

  it('the keys of requireJwt', async () => {
    const { requireJwt } = createJwtCheck({ store: memoryStore() })
    const guard = requireJwt({
      issuer,
      audience: 'api',
      fetch: proxied,
      dangerouslyAllowHttp: true,
      timeoutSeconds: 20,
    })
    const token = await mint.idToken({ header: { typ: 'at+jwt' }, payload: { aud: 'api', client_id: 'my-rp' } })
    const admitted = createServer((req, res) => guard(req, res, () => void res.end('in')))
    admitted.listen(0, '127.0.0.1')
    await once(admitted, 'listening')
    const { port } = Object(admitted.address())
    try {
      const asked = await throughTheProxy(async () => {
        const res = await fetch(`http://127.0.0.1:${port}/`, { headers: { Authorization: `Bearer ${token}` } })
        expect({ status: res.status, text: await res.text() }).toEqual({ status: 200, text: 'in' })
      })
      expect(asked).not.toBe(0)
    } finally {
      admitted.close()
      admitted.closeAllConnections()
    }
  })

  it('notices to APIs', async () => {
    const client = createEvictionClient({
      endpoint: `${issuer}/evict`,
      clientId: 'my-rp',
      clientSecret: 'secret',
      fetch: proxied,
      timeoutSeconds: 20,
      dangerouslyAllowHttp: true,
    })
    expect(await throughTheProxy(() => client.evictToken('a token'))).not.toBe(0)

    proxied = proxiedFetch(proxy.url)
    const { privateKey } = await generateKeyPair('ES256')
    const relay = createRelay({
      store: { pull: async () => ({ cursor: '1', marks: [], restarted: false, more: false }) as never },
      issuer: 'https://rp.example.com',
      privateKey,
      algorithm: 'ES256',
      apis: [{ endpoint: `${issuer}/relay` }],
      fetch: proxied,
      timeoutSeconds: 20,
      dangerouslyAllowHttp: true,
    })
    // No relay receiver answers at the other end; what is asked here is which way the notice went.
    expect(await throughTheProxy(() => expect(relay.refresh()).rejects.toThrow())).not.toBe(0)
    relay.close()
  })
})

describe('the issuer is public, its keys are fetched inside', () => {
  it('by jwksUri alone', async () => {
    expect(await logOut(receiver({ jwksUri: `http://127.0.0.1:${opPort}/jwks` }))).toBe(200)
  })

  it('by a fetch that sends what is public to the internal address', async () => {
    expect(await logOut(receiver({ fetch: internal(issuer, `http://127.0.0.1:${opPort}`) }))).toBe(200)
  })
})

describe('everything through the proxy of the environment', () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const nodeKnowsIt = major >= 24 || (major === 22 && minor >= 21)

  /** A program of a user's, in a process of its own, since this is about the whole process. */
  async function prepare(first: string, env: Record<string, string>): Promise<string> {
    const file = path.join(folder, `prepare-${Object.keys(env).join('-')}.ts`)
    writeFileSync(
      file,
      `${first}
      import { createBackchannelLogout } from 'oidc-backchannel-logout'
      const provider = ${JSON.stringify(provider())}
      const said: string[] = []
      const onEvent = ({ error }: { error?: { code: string } }) => said.push(error?.code ?? '')
      await createBackchannelLogout({ provider, onEvent }).prepare()
      console.log(said[0] ?? 'prepared')`,
    )
    const args = ['--import', 'tsx', file]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { PATH: process.env.PATH, ...env } })
    return stdout.trim()
  }

  it('with undici, on every release of Node', async () => {
    const asked = await throughTheProxy(async () =>
      expect(await prepare("import './all-through-the-proxy.ts'", { HTTP_PROXY: proxy.url })).toBe('prepared'),
    )
    expect(asked).not.toBe(0)
  })

  it(`by NODE_USE_ENV_PROXY where Node knows it: ${process.version} ${nodeKnowsIt ? 'does' : 'does not'}`, async () => {
    const outcome = nodeKnowsIt ? 'prepared' : 'ERR_KEYS_UNAVAILABLE'
    expect(await prepare('', { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url })).toBe(outcome)
  })
})
