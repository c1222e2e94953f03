// Front-Channel Logout 1.0 by HTTP: which requests end which session, and what the frame is told.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout, type StatelessSignOn } from '../../src/index.js'
import { type FrontchannelReceiverOptions, frontchannelReceiver } from '../../src/receivers/frontchannel.js'
import { createTokenMint } from '../../src/testing/index.js'

const ISSUER = 'https://op.example.com/tenant'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function rp(options: FrontchannelReceiverOptions = {}) {
  const mint = await createTokenMint({ issuer: ISSUER, clientId: 'rp', sub: 'ada' })
  const logout = createBackchannelLogout({
    provider: [
      { issuer: ISSUER, clientId: 'rp', jwks: mint.jwks },
      { issuer: 'https://other.example.com', clientId: 'rp', jwks: mint.jwks },
    ],
    onEvent: () => {},
  })
  const receive = logout.frontchannelReceiver(options)
  const server = createServer((req, res) => {
    res.setHeader('X-Frame-Options', 'SAMEORIGIN') // as helmet sets it, for every page
    res.setHeader('Content-Security-Policy', "frame-ancestors 'self'")
    receive(req, res)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const signIn = async (sid: string): Promise<StatelessSignOn> => {
    const signOn = await logout.signOn(mint.idTokenClaims({ sid }))
    if (signOn === undefined) throw new Error('nobody was logged out yet')
    return signOn
  }
  const call = (query: string, method = 'GET') =>
    fetch(`http://127.0.0.1:${address.port}/frontchannel-logout?${query}`, { method })
  return { logout, call, signIn, phone: await signIn('phone'), laptop: await signIn('laptop') }
}

const query = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString()

describe('a front-channel logout', () => {
  it('ends that sid and no other, without a cookie, and may be framed by the OP alone', async () => {
    const { logout, call, laptop, phone } = await rp()
    const answer = await call(`keep=1&${query({ sid: 'laptop', iss: ISSUER })}`)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe('')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('x-frame-options')).toBeNull()
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; frame-ancestors https://op.example.com",
    )
    expect(answer.headers.getSetCookie()).toEqual([])
    expect(await logout.isLive(laptop)).toBe(false)
    expect(await logout.isLive(phone)).toBe(true)
  })

  it('a later sign-in with the same sid lives', async () => {
    const { logout, call, signIn } = await rp()
    await call(query({ sid: 'laptop', iss: ISSUER }))
    expect(await logout.isLive(await signIn('laptop'))).toBe(true)
  })

  it.each<[string, string]>([
    ['no parameter', ''],
    ['sid without iss', query({ sid: 'laptop' })],
    ['iss without sid', query({ iss: ISSUER })],
    ['an empty sid', query({ sid: '', iss: ISSUER })],
    ['two sids', `${query({ sid: 'laptop', iss: ISSUER })}&sid=phone`],
    ['two issuers', `${query({ sid: 'laptop', iss: ISSUER })}&iss=x`],
    ['an unknown issuer', query({ sid: 'laptop', iss: `${ISSUER}/` })],
    ['a sid that is too long', query({ sid: 'l'.repeat(1025), iss: ISSUER })],
    ['a sub', query({ sub: 'ada', iss: ISSUER })],
  ])('%s: 400, and nobody is logged out', async (_name, parameters) => {
    const { logout, call, laptop, phone } = await rp()
    const answer = await call(parameters)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect([await logout.isLive(laptop), await logout.isLive(phone)]).toEqual([true, true])
  })

  it('a POST: 405, and nobody is logged out', async () => {
    const { logout, call, laptop } = await rp()
    const answer = await call(query({ sid: 'laptop', iss: ISSUER }), 'POST')
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET'])
    expect(await logout.isLive(laptop)).toBe(true)
  })

  it('the sid of another issuer is another sid', async () => {
    const { logout, call, laptop } = await rp()
    expect((await call(query({ sid: 'laptop', iss: 'https://other.example.com' }))).status).toBe(200)
    expect(await logout.isLive(laptop)).toBe(true)
  })

  it('without iss at a path that is one provider’s (Entra ID); another iss is refused there', async () => {
    const { logout, call, laptop, phone } = await rp({ issuer: ISSUER })
    expect((await call(query({ sid: 'laptop' }))).status).toBe(200)
    expect(await logout.isLive(laptop)).toBe(false)
    expect((await call(query({ sid: 'phone', iss: 'https://other.example.com' }))).status).toBe(400)
    expect(await logout.isLive(phone)).toBe(true)
  })

  it('a flood of what ends nobody is refused', async () => {
    const { call } = await rp({ emptyRequestsPerSecond: 0.001 })
    expect((await call(query({ sid: 'nobody', iss: ISSUER }))).status).toBe(200)
    expect((await call(query({ sid: 'nobody', iss: ISSUER }))).status).toBe(429)
  })

  it('both channels for one session are one logout', async () => {
    const { logout, call, laptop } = await rp()
    const answers = await Promise.all([
      call(query({ sid: 'laptop', iss: ISSUER })),
      call(query({ sid: 'laptop', iss: ISSUER })),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    const result = await logout.terminate({ issuer: ISSUER, clientId: 'rp', sid: 'laptop' })
    expect(result.complete).toBe(true)
    expect(await logout.isLive(laptop)).toBe(false)
  })
})

describe('where sessions are bound', () => {
  /** Of which `bound` is, in a store that is asked; time stands still. */
  async function site() {
    const looked: string[] = []
    const ended: string[] = []
    const ports = {
      isUnknown: () => false,
      clients: async () => [{ issuer: ISSUER, clientId: 'rp' }],
      isBound: async ({ sid }: { sid: string }) => looked.push(sid) > 0 && sid === 'bound',
      end: async ({ sid }: { sid: string }) => ({ complete: true, found: ended.push(sid) }),
      monotonic: () => 0,
    }
    const receive = frontchannelReceiver({ emptyRequestsPerSecond: 3 }, ports)
    const server = createServer(receive)
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port }: { port: number } = Object(server.address())
    return {
      port,
      looked,
      ended,
      call: (sid: string) => fetch(`http://127.0.0.1:${port}/?${query({ iss: ISSUER, sid })}`),
    }
  }

  it("a stranger's flood keeps none of the OP's logouts away", async () => {
    const { call, ended } = await site()
    const strangers = await Promise.all(Array.from({ length: 20 }, (_, i) => call(`invented-${i}`)))
    expect(strangers.map(({ status }) => status).sort()).toEqual([200, 200, 200, ...Array(17).fill(429)])
    expect((await call('bound')).status).toBe(200)
    expect(ended).toEqual(['bound'])
  })

  it.each(['//', 'http://[', '*', '/%', '?', '//?iss=x'])(
    'a request target of any kind ends no process: %s',
    async (target) => {
      const { port, call, ended } = await site()
      const socket = connect(port, '127.0.0.1')
      socket.end(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      let answer = ''
      for await (const chunk of socket.setEncoding('latin1')) answer += chunk
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(ended).toEqual([])
      expect((await call('bound')).status).toBe(200)
    },
  )
})

describe('an option that cannot work is refused at start-up', () => {
  const provider = { issuer: ISSUER, clientId: 'rp' }
  const saml = { issuer: 'https://idp.example.com', clientId: 'rp', protocol: 'saml' } as const
  const logout = createBackchannelLogout({ provider: [provider, saml], warnings: false })
  const made = (options: object) => logout.frontchannelReceiver(options)

  it.each([
    ['issuer', ''],
    ['issuer', `${ISSUER}/`],
    ['issuer', 'https://idp.example.com'],
    ['frameAncestors', 'https://portal.example.com'],
    ['frameAncestors', ['portal.example.com']],
    ['frameAncestors', ['portal.example.com:443']],
    ['frameAncestors', [7]],
    ['statelessSessions', 'no'],
    ['emptyRequestsPerSecond', Number.NaN],
    ['emptyRequestsPerSecond', 'ten'],
    ['emptyRequestsPerSecond', -1],
    ['emptyRequestsPerSecond', 0],
    ['emptyRequestsPerSecond', Number.POSITIVE_INFINITY],
  ])('%s: %j', (name, value) => {
    expect(() => made({ [name]: value })).toThrow(new RegExp(`^frontchannelReceiver\\(\\): ${name} must be`))
  })

  it('and one that can is taken', () => {
    made({ issuer: ISSUER, frameAncestors: ['https://portal.example.com'], statelessSessions: false })
    made({ emptyRequestsPerSecond: 0.5 })
  })

  it('no issuer is unknown where a function finds the providers', () => {
    const any = createBackchannelLogout({ provider: async () => provider, warnings: false })
    expect(() => any.frontchannelReceiver({ issuer: 'https://elsewhere.example.com' })).not.toThrow()
  })
})
