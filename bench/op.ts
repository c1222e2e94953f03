// The OP's side of the measured logouts: keys, metadata, and Logout Tokens signed ahead of time. Knows nothing of the
// package.
import { createPublicKey, randomUUID, sign } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rsaKeyPair } from './key-pair.js'

export const CLIENT_ID = 'bench-rp'

/** The n-th user and that user's OP session. Widths are those of real ones: 36 characters each. */
export const sidOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
export const subOf = (n: number) => `11111111-1111-4111-9111-${String(n).padStart(12, '0')}`

/** The access token of that user; it tells the OP whose it is. */
export const accessTokenOf = (n: number) => `at-${String(n).padStart(12, '0')}-3q2-7wAAAACqu8zd7v8`

const KEY_ID = 'bench-key'

/** An OP that serves metadata and keys on a free port, and signs by RS256 with a key of 2048 bits. */
export class Op {
  readonly #server: Server
  readonly #privateKey
  readonly issuer: string

  static async start(): Promise<Op> {
    const { privateKey } = rsaKeyPair()
    const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: KEY_ID, use: 'sig' }
    let issuer = ''
    const server = createServer((req, res) => {
      res.setHeader('Content-Type', 'application/json')
      if (req.url === '/introspect') return introspect(issuer, req, res)
      const metadata = {
        issuer,
        jwks_uri: `${issuer}/jwks`,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        response_types_supported: ['code', 'id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      }
      res.end(JSON.stringify(req.url === '/jwks' ? { keys: [jwk] } : metadata))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return new Op(server, privateKey, issuer)
  }

  private constructor(server: Server, privateKey: Parameters<typeof sign>[2] & object, issuer: string) {
    this.#server = server
    this.#privateKey = privateKey
    this.issuer = issuer
  }

  /** Delivery requests for the OP sessions `from` to `from + count`, each with a token of its own. */
  deliveries(from: number, count: number): Promise<readonly Buffer[]> {
    return Promise.all(Array.from({ length: count }, (_, i) => this.#delivery(from + i)))
  }

  close(): void {
    this.#server.close()
  }

  async #delivery(n: number): Promise<Buffer> {
    const body = `logout_token=${await this.#logoutToken(n)}`
    const head = [
      'POST /backchannel-logout HTTP/1.1',
      'Host: rp.example.com',
      'User-Agent: op/1.0',
      'Accept: */*',
      'Content-Type: application/x-www-form-urlencoded',
      `Content-Length: ${body.length}`,
    ]
    return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1')
  }

  #logoutToken(n: number): Promise<string> {
    const iat = Math.floor(Date.now() / 1000)
    const claims = {
      iss: this.issuer,
      aud: CLIENT_ID,
      iat,
      exp: iat + 120,
      jti: randomUUID(),
      sub: subOf(n),
      sid: sidOf(n),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    }
    const header = { alg: 'RS256', typ: 'logout+jwt', kid: KEY_ID }
    const input = `${segment(header)}.${segment(claims)}`
    return new Promise((resolve, reject) => {
      sign('sha256', Buffer.from(input), this.#privateKey, (error, signature) => {
        if (error) reject(error)
        else resolve(`${input}.${signature.toString('base64url')}`)
      })
    })
  }
}

/** RFC 7662, as fast as Node's http module can: what it costs beyond that would flatter a cache. */
function introspect(issuer: string, req: IncomingMessage, res: ServerResponse): void {
  let body = ''
  req.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
  })
  req.on('end', () => {
    const n = Number(/token=at-(\d+)/.exec(body)?.[1])
    const now = Math.floor(Date.now() / 1000)
    const who = { iss: issuer, client_id: CLIENT_ID, sub: subOf(n), sid: sidOf(n) }
    const answer = JSON.stringify({
      active: true,
      ...who,
      iat: now - 60,
      auth_time: now - 60,
      exp: now + 3600,
      scope: 'a',
    })
    res.setHeader('Content-Length', answer.length)
    res.end(answer)
  })
}

function segment(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
