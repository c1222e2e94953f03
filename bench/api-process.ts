// An API that takes access tokens, and the receiver of the same Relying Party, in one process.
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClaims } from '../src/access-tokens/index.js'
import { createBackchannelLogout, memoryStore } from '../src/index.js'
import { accessTokenOf, CLIENT_ID } from './op.js'
import { answer } from './remote.js'

const TOKENS = 1000
const API_ID = 'bench-api'
const API_SECRET = 'a secret for the bench'

let issuer = ''
let api = apiOf(issuer)
const agent = new Agent({ keepAlive: true, maxSockets: 64 })

interface LookUps {
  readonly way: keyof typeof WAYS
  readonly inFlight: number
  readonly count: number
}

const commands = {
  async start({ issuer }: { issuer: string }): Promise<number> {
    commands.trust({ issuer })
    const server = createServer((req, res) => {
      if (req.method === 'POST') return api.receiver(req, res)
      api.requireToken(req, res, () => res.end('{}'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  },
  /** From here on with this OP, and with a cache that knows nothing. */
  trust(given: { issuer: string }): void {
    issuer = given.issuer
    api = apiOf(issuer)
  },
  /** Per look-up: wall-clock time, and processor time of this process. */
  async lookUp({ way, inFlight, count }: LookUps) {
    if (way === 'hit') for (let n = 0; n < TOKENS; n++) await hit(n)
    const lookUp = WAYS[way]
    const started = performance.now()
    const begun = process.cpuUsage()
    let next = 0
    const client = async () => {
      while (next < count) await lookUp(next++ % TOKENS)
    }
    await Promise.all(Array.from({ length: inFlight }, client))
    const { user, system } = process.cpuUsage(begun)
    return { wallMicros: ((performance.now() - started) * 1000) / count, cpuMicros: (user + system) / count }
  },
}

export type ApiProcess = typeof commands

function apiOf(issuer: string) {
  const store = memoryStore()
  const claims = createClaims({
    introspection: {
      issuer: issuer || 'http://127.0.0.1',
      clientId: API_ID,
      clientAuthentication: { method: 'client_secret_basic', clientSecret: API_SECRET },
      introspectionEndpoint: `${issuer || 'http://127.0.0.1'}/introspect`,
      dangerouslyAllowHttp: true,
    },
    store,
    maximumLifetimeSeconds: 3600,
  })
  const provider = { issuer: issuer || 'http://127.0.0.1', clientId: CLIENT_ID }
  const logout = createBackchannelLogout({ provider, store, claims })
  return { claims, requireToken: claims.requireToken(), receiver: logout.receiver() }
}

async function hit(n: number): Promise<void> {
  const verdict = await api.claims.lookup(accessTokenOf(n))
  if (!verdict.active) throw new Error('a good token was refused')
}

/** What each request costs without a cache: the same client, asked each time. */
async function asked(n: number): Promise<void> {
  const verdict = await api.claims.lookup(accessTokenOf(n), { maxAgeSeconds: 0 })
  if (!verdict.active) throw new Error('a good token was refused')
}

const authorization = `Basic ${Buffer.from(`${API_ID}:${encodeURIComponent(API_SECRET)}`).toString('base64')}`

function barePost(n: number): Promise<void> {
  const body = `token=${accessTokenOf(n)}&token_type_hint=access_token`
  const headers = {
    authorization,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': body.length,
  }
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${issuer}/introspect`, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        const { active }: { active?: boolean } = JSON.parse(text)
        if (active) resolve()
        else reject(new Error('a good token was refused'))
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

const WAYS = { hit, asked, barePost }

answer(commands)
