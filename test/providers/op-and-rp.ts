// One OP and one RP with one clock, for tests of keys.
import { createServer } from 'node:http'
import { afterEach } from 'vitest'
import { type ProviderDirectory, providerDirectory } from '../../src/providers/directory.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { createFakeOp, type FakeOp, type FakeOpOptions } from '../../src/testing/fake-op.js'
import type { Change } from '../../src/testing/token-change.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import { CLIENT_ID, NOW, ruleOf, UNHURRIED } from '../tokens/verifying.js'

export const KEY_UNKNOWN = { code: 'ERR_TOKEN', reason: 'key_unknown', claim: 'kid', option: undefined }
export const unavailable = (reason: string) => ({
  code: 'ERR_KEYS_UNAVAILABLE',
  reason,
  claim: undefined,
  option: undefined,
})

export const closers: (() => Promise<void>)[] = []
/** Each test file calls it: this module is run once, for several of them. */
export function withClosers(): void {
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })
}

/** One OP and one RP with one clock; time passes only as `now` says. */
export class Scene {
  now = NOW
  /** So much somebody has put the wall clock forward, while no time passed. */
  putForward = 0
  readonly op: FakeOp
  readonly directory: ProviderDirectory

  constructor(op: FakeOp, options: Partial<ProviderOptions>) {
    this.op = op
    this.directory = providerDirectory(
      { issuer: op.issuer, clientId: CLIENT_ID, ...options },
      { clock: () => this.now + this.putForward, monotonic: () => this.now },
    )
  }

  static async open(options: Partial<ProviderOptions> = {}, opOptions: Partial<FakeOpOptions> = {}): Promise<Scene> {
    const op = await createFakeOp({ clientId: CLIENT_ID, now: () => NOW, ...opOptions })
    closers.push(() => op.close())
    return new Scene(op, options)
  }

  async verify(change: Change = {}, signal = UNHURRIED) {
    const about = { directory: this.directory, now: NOW, giveUp: () => signal }
    const [token] = await verifyLogoutToken(await this.op.mint.logoutToken(change), about)
    return token
  }

  /** An attacker's token: its key id was never published. */
  async verifyInvented(kid: string) {
    return ruleOf(this.verify({ header: { kid }, signer: 'foreign' }))
  }
}

/** A server on loopback that answers every GET with JSON. */
export async function serve(
  document: (url: string) => unknown,
): Promise<{ readonly origin: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((req, res) => {
    asked.push(req.url ?? '')
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document(req.url ?? '')))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  closers.push(
    () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return { origin: `http://127.0.0.1:${address.port}`, asked }
}

/** Lets events happen until it is so; the test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((turn) => setImmediate(turn))
}
