// The example's RP behind a door that writes down every Logout Token, and can be slow, refuse, or hang up in the RP's
// place. Knows no provider.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import session from 'express-session'
import { compactDecrypt, decodeJwt, decodeProtectedHeader, importJWK, type JWK, type JWTPayload } from 'jose'
import { type LogoutEvent, memoryStore, type ProviderOptions } from 'oidc-backchannel-logout'
import { withLoginRecords } from 'oidc-backchannel-logout/claims'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp } from '../../example-app/relying-party.js'
import type { LiveBrowser, Page } from './live-browser.js'

const RECEIVER = '/backchannel-logout'

/** One request to the receiver, as the provider sent it and as it was answered. */
export interface Delivery {
  readonly token: string
  /** Of the signed token, also where it is encrypted. */
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: JWTPayload
  /** The header of the JWE, where it is encrypted. */
  readonly encryption: Readonly<Record<string, unknown>> | undefined
  readonly contentType: string
  readonly userAgent: string | undefined
  readonly arrivedAtMs: number
  /** Undefined until the RP has answered. */
  status: number | undefined
  /** The provider had hung up before it was answered. */
  hungUp: boolean
}

export type Fault =
  /** Answered in the RP's place; the RP hears nothing. */
  | { readonly kind: 'refuse'; readonly status: number }
  /** Handed to the RP when the provider has hung up, or by `release`. */
  | { readonly kind: 'slow' }

export interface Credentials {
  readonly clientId: string
  readonly clientSecret: string
}

/** What `GET /me` says of this browser. */
export interface SignedIn {
  readonly sub: string
  readonly sid?: string
}

/** A session store of which the next `destroy` can be made to fail, as a server's does that is away for a moment. */
class SessionStore extends session.MemoryStore {
  destroysThatFail = 0

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    if (this.destroysThatFail === 0) super.destroy(sid, callback)
    else {
      this.destroysThatFail -= 1
      setImmediate(() => callback?.(new Error('the session store does not answer')))
    }
  }
}

export class LiveRp {
  readonly deliveries: Delivery[] = []
  readonly events: LogoutEvent[] = []
  /** Why sign-ins did not work. */
  readonly signInErrors: unknown[] = []
  readonly sessions = new SessionStore()
  /** Outlives the RP that is opened anew with other options: what it bound is still known. An API may share it. */
  readonly logouts = withLoginRecords(memoryStore())
  fault: Fault | undefined
  readonly #listening: Listening
  #decryptionKeys: readonly JWK[] = []
  readonly #held = new Set<() => void>()
  #rp: { readonly inner: Listening; close(): void } | undefined

  private constructor(listening: Listening) {
    this.#listening = listening
    listening.server.on('request', (req, res) => void this.#serve(req, res).catch(() => res.destroy()))
  }

  /** Listening, so that it can be registered; serves nothing before `open`. */
  static async listen(): Promise<LiveRp> {
    return new LiveRp(await listen(0))
  }

  get origin(): string {
    return this.#listening.url
  }

  get receiver(): string {
    return `${this.origin}${RECEIVER}`
  }

  async open(
    issuer: string,
    credentials: Credentials,
    provider: Omit<ProviderOptions, 'issuer' | 'clientId'> = {},
  ): Promise<void> {
    this.#rp?.close()
    if (provider.decryption) this.#decryptionKeys = provider.decryption.keys
    const inner = await listen(0)
    const { app, close } = createRp({
      issuer,
      ...credentials,
      baseUrl: this.origin,
      sessionSecret: 'of the tests',
      provider,
      sessionStore: this.sessions,
      logoutStore: this.logouts,
      onEvent: (event) => this.events.push(event),
      onSignInError: (error) => this.signInErrors.push(error),
    })
    inner.server.on('request', app)
    this.#rp = {
      inner,
      close: () => {
        close()
        void inner.close()
      },
    }
  }

  /** Who is signed in here in this browser. */
  async me(browser: LiveBrowser): Promise<SignedIn | undefined> {
    const { status, text } = await browser.get(`${this.origin}/me`)
    if (status === 401) return undefined
    if (status === 200) return JSON.parse(text)
    throw new Error(`GET /me: ${status}`)
  }

  /** The access tokens of all who are signed in here. */
  async accessTokens(): Promise<readonly string[]> {
    const found = await promisify(this.sessions.all.bind(this.sessions))()
    return Object.values(Object(found)).flatMap((each) => Object(each).signOn?.accessToken ?? [])
  }

  /** The user's own logout, which goes on at the provider. */
  logOut(browser: LiveBrowser): Promise<Page> {
    return browser.post(`${this.origin}/logout`)
  }

  /** Lets go of what `slow` holds. */
  release(): void {
    for (const go of this.#held) go()
  }

  /** As before the first test: no fault, nothing heard. */
  reset(): void {
    this.fault = undefined
    this.sessions.destroysThatFail = 0
    this.release()
    for (const list of [this.deliveries, this.events, this.signInErrors]) list.length = 0
  }

  async close(): Promise<void> {
    this.release()
    this.#rp?.close()
    await this.#listening.close()
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { inner } = this.#rp ?? {}
    if (inner === undefined) res.writeHead(503).end()
    else if (req.method === 'POST' && req.url === RECEIVER) await this.#deliver(req, res)
    else inner.server.emit('request', req, res)
  }

  async #deliver(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await bodyOf(req)
    // What is no token at all is no delivery, and for the RP to refuse.
    const delivery = await this.#deliveryOf(body, req).catch(() => undefined)
    if (delivery === undefined) {
      await this.#passOn(body, req, res)
      return
    }
    this.deliveries.push(delivery)
    const { fault } = this
    const hungUp = new Promise<void>((resolve) => {
      res.once('close', () => {
        delivery.hungUp = !res.writableFinished
        resolve()
      })
    })
    if (fault?.kind === 'refuse') {
      delivery.status = fault.status
      res.writeHead(fault.status, { 'content-type': 'application/json' }).end('{"error":"invalid_request"}')
      return
    }
    if (fault?.kind === 'slow') await Promise.race([hungUp, this.#released()])
    delivery.status = await this.#passOn(body, req, res)
  }

  /** To the RP of now: it may have been opened anew meanwhile. Resolves to its status. */
  async #passOn(body: string, req: IncomingMessage, res: ServerResponse): Promise<number> {
    const headers = { 'content-type': req.headers['content-type'] ?? '' }
    const answer = await fetch(this.#rp?.inner.url + RECEIVER, { method: 'POST', headers, body, redirect: 'manual' })
    res.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
    return answer.status
  }

  async #deliveryOf(body: string, req: IncomingMessage): Promise<Delivery> {
    const token = new URLSearchParams(body).get('logout_token') ?? ''
    const [key] = this.#decryptionKeys
    const encryption = token.split('.').length === 5 ? { ...decodeProtectedHeader(token) } : undefined
    const opened = encryption && key && (await compactDecrypt(token, await importJWK(key, String(encryption.alg))))
    const signed = opened === undefined ? token : new TextDecoder().decode(opened.plaintext)
    return {
      token,
      header: { ...decodeProtectedHeader(signed) },
      payload: decodeJwt(signed),
      encryption,
      contentType: req.headers['content-type'] ?? '',
      userAgent: req.headers['user-agent'],
      arrivedAtMs: Date.now(),
      status: undefined,
      hungUp: false,
    }
  }

  #released(): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#held.delete(go)
        resolve()
      }
      this.#held.add(go)
    })
  }
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
