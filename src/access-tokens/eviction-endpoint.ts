// Where a Relying Party tells this API that tokens have ended: the shape of a token revocation (RFC 7009). Says 200 for
// every token, known or not; knows no cache, only what to do with a key.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, empty, json } from '../http/answer.js'
import { basicCredentials } from '../http/basic-auth.js'
import { readNodeBody } from '../http/bounded-body.js'
import { isForm } from '../http/form.js'
import { nodeEntry, send, wasParsed } from '../http/node.js'
import { sha256, tokenKey } from '../marks/target.js'
import { assertOptions, isText } from '../option-checks.js'

/** Options of `evictionEndpoint`: exactly one of the two. */
export interface EvictionEndpointOptions {
  /** Secrets of the clients that may evict, by client id. Compared in constant time. */
  readonly clients?: Readonly<Record<string, string>>
  /** Any other client authentication, in place of `clients`. A rejection is answered 503. */
  readonly authenticate?: (req: IncomingMessage) => boolean | Promise<boolean>
}

/** A handler for Node's http module; Express takes it as it is. Works before and after body parsers. */
export type EvictionHandler = (req: IncomingMessage & { body?: unknown }, res: ServerResponse) => void

const OK = empty(200)
const METHOD_NOT_ALLOWED = refused(405, 'invalid_request', { Allow: 'POST' })
const INVALID_REQUEST = refused(400, 'invalid_request')
const INVALID_CLIENT = refused(401, 'invalid_client', {
  'WWW-Authenticate': 'Basic realm="eviction", charset="UTF-8"',
  Connection: 'close',
})
const UNAVAILABLE = refused(503, 'temporarily_unavailable', { 'Retry-After': '1' })

const BODY_BOUNDS = { bodyLimitBytes: 65_536, bodyDeadlineSeconds: 5 }
/** As `tokenKey` makes it. */
const TOKEN_KEY = /^[A-Za-z0-9_-]{43}$/

/**
 * `POST` a form with `token` (once), or with `token_key`s, so that no token need travel: the base64url SHA-256 of a
 * JWT's signing input (its first two parts with the dot between them), of another token's whole text. 200 when they are
 * ended here, 503 if the store could not be told. `TypeError` where the options cannot work.
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
    if (form === undefined) return INVALID_REQUEST
    const keys = keysOf(form)
    if (keys === undefined) return INVALID_REQUEST
    await Promise.all(keys.map(endToken))
    return OK
  }
  return nodeEntry('claims.evictionEndpoint()', async (req, res) =>
    send(res, req, await decide(req).catch((): Answer => UNAVAILABLE)),
  )
}

/**
 * Keys of the tokens to end; nothing if the form is not one of ours. Unknown parameters, `token_type_hint` too, are
 * ignored.
 */
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
  if (secrets.size === 0 || ![...secrets.values()].every(isText)) {
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
  return Buffer.from(sha256(value), 'base64url')
}

async function readForm(req: IncomingMessage & { body?: unknown }): Promise<URLSearchParams | undefined> {
  if (!isForm(req.headers['content-type'])) return undefined
  if (wasParsed(req)) return formOfParsed(req.body)
  const body = await readNodeBody(req, BODY_BOUNDS).catch(() => undefined)
  return body && new URLSearchParams(Buffer.from(body).toString())
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

function refused(status: number, error: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return json(status, { error }, headers)
}
