// Where a Relying Party tells this API that tokens have ended: the shape of a token revocation (RFC 7009). Says 200 for every
// token, known or not; knows no cache, only what to do with a key.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tokenKey } from '../marks/target.js'
import { assertOptions } from '../option-checks.js'

/** Options of `evictionEndpoint`: exactly one of the two. */
export interface EvictionEndpointOptions {
  /** Secrets of the clients that may evict, by client id. Compared in constant time. */
  readonly clients?: Readonly<Record<string, string>>
  /** Any other client authentication, in place of `clients`. A rejection is answered 503. */
  readonly authenticate?: (req: IncomingMessage) => boolean | Promise<boolean>
}

/** A handler for Node's http module; Express takes it as it is. Works before and after body parsers. */
export type EvictionHandler = (req: IncomingMessage & { body?: unknown }, res: ServerResponse) => void

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly error?: string
}

const OK: Answer = { status: 200 }
const METHOD_NOT_ALLOWED: Answer = { status: 405, headers: { Allow: 'POST' }, error: 'invalid_request' }
const INVALID_REQUEST: Answer = { status: 400, error: 'invalid_request' }
/** What was not read must not be taken for the connection's next request. */
const UNREAD: Answer = { ...INVALID_REQUEST, headers: { Connection: 'close' } }
const INVALID_CLIENT: Answer = {
  status: 401,
  headers: { 'WWW-Authenticate': 'Basic realm="eviction", charset="UTF-8"', Connection: 'close' },
  error: 'invalid_client',
}
const UNAVAILABLE: Answer = { status: 503, headers: { 'Retry-After': '1' }, error: 'temporarily_unavailable' }

const BODY_LIMIT_BYTES = 65_536
const BODY_DEADLINE_SECONDS = 5
/** SHA-256 in base64url, as `tokenKey` makes it. */
const TOKEN_KEY = /^[A-Za-z0-9_-]{43}$/

/**
 * `POST` a form with `token` (once), or with `token_key`s: the base64url SHA-256 of tokens, so that no token need travel. 200
 * when they are ended here, 503 if the store could not be told. `TypeError` where the options cannot work.
 */
export function evictionEndpoint(
  endToken: (key: string) => Promise<void>,
  options: EvictionEndpointOptions,
): EvictionHandler {
  const authenticate = authenticator(options)
  const decide = async (req: IncomingMessage & { body?: unknown }): Promise<Answer> => {
    if (req.method !== 'POST') return METHOD_NOT_ALLOWED
    // Before the body: strangers make this process read and hash nothing.
    if ((await authenticate(req)) !== true) return INVALID_CLIENT
    const form = await readForm(req)
    if (form === undefined) return UNREAD
    const keys = keysOf(form)
    if (keys === undefined) return INVALID_REQUEST
    await Promise.all(keys.map(endToken))
    return OK
  }
  return (req, res) => {
    decide(req)
      .catch((): Answer => UNAVAILABLE)
      .then((answer) => send(res, answer))
  }
}

/** Keys of the tokens to end; nothing if the form is not one of ours. Unknown parameters, `token_type_hint` too, are ignored. */
function keysOf(form: URLSearchParams): readonly string[] | undefined {
  const tokens = form.getAll('token')
  const keys = form.getAll('token_key')
  if (tokens.length > 1 || tokens.length + keys.length === 0) return undefined
  if (tokens.includes('') || !keys.every((key) => TOKEN_KEY.test(key))) return undefined
  return [...tokens.map(tokenKey), ...keys]
}

function authenticator(options: EvictionEndpointOptions) {
  assertOptions('evictionEndpoint()', options, { clients: true, authenticate: true })
  const { clients, authenticate } = options
  if ((clients === undefined) === (authenticate === undefined)) {
    throw new TypeError('evictionEndpoint needs either clients: { clientId: secret } or authenticate: (req) => boolean')
  }
  if (authenticate !== undefined) return authenticate
  const secrets = new Map(Object.entries(clients ?? {}))
  if (secrets.size === 0 || ![...secrets.values()].every((secret) => typeof secret === 'string' && secret !== '')) {
    throw new TypeError('clients must name at least one client, each with a non-empty secret')
  }
  const expected = new Map([...secrets].map(([id, secret]) => [id, digest(secret)]))
  const nobody = digest('')
  return (req: IncomingMessage): boolean => {
    const credentials = basicCredentials(req.headers.authorization)
    if (credentials === undefined) return false
    const known = expected.get(credentials.id)
    // An unknown client is compared as well, and digests have one length: time tells neither.
    const equal = timingSafeEqual(digest(credentials.secret), known ?? nobody)
    return equal && known !== undefined
  }
}

function digest(value: string): Buffer {
  return Buffer.from(tokenKey(value), 'base64url')
}

/** RFC 7617, with both parts form-encoded (RFC 6749 2.3.1). */
function basicCredentials(header: string | undefined): { readonly id: string; readonly secret: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon < 0) return undefined
  return { id: formDecoded(decoded.slice(0, colon)), secret: formDecoded(decoded.slice(colon + 1)) }
}

function formDecoded(value: string): string {
  return new URLSearchParams(`v=${value.replaceAll('&', '%26')}`).get('v') ?? ''
}

async function readForm(req: IncomingMessage & { body?: unknown }): Promise<URLSearchParams | undefined> {
  const type = req.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') return undefined
  if (req.readableDidRead || req.readableEnded) return formOfParsed(req.body)
  const body = await readBody(req)
  return body === undefined ? undefined : new URLSearchParams(body)
}

/** What a body parser has left: its strings, and the strings of its lists. Anything else makes the form useless. */
function formOfParsed(body: unknown): URLSearchParams | undefined {
  if (typeof body === 'string') return new URLSearchParams(body)
  if (typeof body !== 'object' || body === null) return undefined
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(body)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each !== 'string') return undefined
      form.append(name, each)
    }
  }
  return form
}

function readBody(req: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const settle = (body: string | undefined) => {
      clearTimeout(late)
      req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      req.on('error', () => {})
      req.pause()
      resolve(body)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > BODY_LIMIT_BYTES) settle(undefined)
      else chunks.push(chunk)
    }
    const onEnd = () => settle(Buffer.concat(chunks).toString())
    const onGone = () => settle(undefined)
    const late = setTimeout(onGone, BODY_DEADLINE_SECONDS * 1000)
    req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  })
}

function send(res: ServerResponse, { status, headers, error }: Answer): void {
  if (res.headersSent || res.destroyed) return
  const body = error === undefined ? '' : JSON.stringify({ error })
  res.writeHead(status, {
    'Cache-Control': 'no-store',
    'Content-Length': String(Buffer.byteLength(body)),
    ...(error !== undefined && { 'Content-Type': 'application/json' }),
    ...headers,
  })
  res.end(body)
}
