// The mounted POST route of a logout that begins here, for Node's http and everything connect-style: who may ask, in
// which order, and what the browser hears. Knows no protocol of the OP's.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { assertNode } from '../http/node.js'
import type { EndSessionDeparture, EndSessionRecord, EndSessionStart, EndSessions } from './end-session.js'

/** The attributes with which the session's cookie was set. */
export interface SessionCookie {
  readonly name: string
  readonly path?: string | undefined
  readonly domain?: string | undefined
  /** `auto`: as the pages are to which the browser comes back, `redirectUris`. */
  readonly secure?: boolean | 'auto' | undefined
  readonly sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined
  readonly httpOnly?: boolean | undefined
  readonly partitioned?: boolean | undefined
}

/** Options of the route that ends a session here and sends its browser on. */
export interface EndSessionRouteOptions<Req> {
  /** What `record` made at the login, wherever you keep it. It is read before the session ends. */
  readonly record?: ((req: Req) => EndSessionRecord | undefined) | undefined
  /**
   * Name, scope and so on. A function may look at the request; what it returns is checked against the fixed list all
   * the same.
   */
  readonly start: EndSessionStart | ((req: Req) => EndSessionStart | Promise<EndSessionStart>)
  /** Ends the local session. */
  readonly endLocally: (req: Req) => Promise<unknown>
  /** Taken away with the attributes it was set with. */
  readonly sessionCookie?: SessionCookie | undefined
}

/** For Express and Node's http. A failure goes to `next`; without one it is answered 503, and nobody is sent on. */
export type EndSessionHandler<Req> = (
  req: Req & IncomingMessage,
  res: ServerResponse,
  next?: (error?: unknown) => void,
) => void

/** Who may not: anything but a POST, a request that another site made, one that nobody asked for. `undefined`: may. */
function refusedLogout(req: IncomingMessage, origins: readonly string[]): 403 | 405 | undefined {
  if (req.method !== 'POST') return 405
  const { headers } = req
  const header = (name: string) => [headers[name]].flat()[0]
  const purpose = `${header('sec-purpose') ?? ''} ${header('purpose') ?? ''} ${header('x-moz') ?? ''}`.toLowerCase()
  if (purpose.includes('prefetch') || header('next-router-prefetch') !== undefined) return 403
  const site = header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' ? undefined : 403
  // Every browser sends Origin with a POST: who sends neither is no browser, and nobody's cookies are at stake.
  const origin = header('origin')
  return origin === undefined || origins.includes(origin) ? undefined : 403
}

/** Headers of an answer that has no body. */
export const EMPTY = { 'Cache-Control': 'no-store', 'Content-Length': '0' }

/** What every route has that logs a user out: who may ask, and what is answered where it fails. */
export function logoutRoute<Req>(
  call: string,
  origins: readonly string[],
  leave: (req: Req & IncomingMessage, res: ServerResponse) => Promise<void>,
): EndSessionHandler<Req> {
  const handle = async (req: Req & IncomingMessage, res: ServerResponse): Promise<void> => {
    const refused = refusedLogout(req, origins)
    if (refused === undefined) return leave(req, res)
    res.writeHead(refused, { ...EMPTY, ...(refused === 405 && { Allow: 'POST' }) }).end()
  }
  return (req, res, next) => {
    assertNode(call, req, res, 'elsewhere there is start()')
    handle(req, res).catch((error: unknown) => {
      if (next !== undefined) return next(error)
      if (!res.headersSent) res.writeHead(503, { ...EMPTY, 'Retry-After': '1' })
      res.end()
    })
  }
}

export function endSessionRoute<Req>(
  endSessions: EndSessions,
  options: EndSessionRouteOptions<Req>,
): EndSessionHandler<Req> {
  return logoutRoute('endSession.route()', endSessions.origins, async (req, res) => {
    const start = typeof options.start === 'function' ? await options.start(req) : options.start
    const record = options.record?.(req)
    // A name that is not configured is refused before anybody is logged out.
    const departure = endSessions.start(record, start, req.headers.cookie)
    departure.catch(() => {})
    if (!endSessions.knows(start.to)) await departure
    await options.endLocally(req)
    const { sessionCookie } = options
    const cleared = sessionCookie && clearing(sessionCookie, endSessions.isSecure)
    send(req, res, await departure, cleared)
  })
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  departure: EndSessionDeparture,
  cleared: string | undefined,
): void {
  const { url, form, provider, upstream, cookies } = departure
  for (const cookie of cookies) res.appendHeader('Set-Cookie', cookie)
  if (cleared !== undefined) res.appendHeader('Set-Cookie', cleared)
  res.setHeader('Cache-Control', 'no-store')
  if (wantsJson(req)) {
    const body = JSON.stringify({ url, ...(form && { form }), provider, upstream })
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    res.end(body)
    return
  }
  if (form === undefined) {
    res.writeHead(303, { Location: url, 'Content-Length': '0' })
    res.end()
    return
  }
  const body = postingPage(url, form)
  res.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Content-Security-Policy': `default-src 'none'; script-src 'sha256-${SCRIPT_HASH}'; frame-ancestors 'none'; base-uri 'none'`,
    'Referrer-Policy': 'no-referrer',
  })
  res.end(body)
}

/** A script that asks for JSON; a browser that goes to a page takes JSON as well, but names HTML. */
function wantsJson({ headers }: IncomingMessage): boolean {
  const accept = (headers.accept ?? '').toLowerCase()
  return accept.includes('application/json') && !accept.includes('text/html')
}

const SCRIPT = 'document.forms[0].submit()'
const SCRIPT_HASH = createHash('sha256').update(SCRIPT).digest('base64')

/** A page that posts its form by itself, and has a button where scripts are off. */
function postingPage(action: string, fields: Readonly<Record<string, string>>): string {
  const inputs = Object.entries(fields).map(
    ([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`,
  )
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Logging out</title>
<form method="post" action="${escaped(action)}">${inputs.join('')}<button>Go on</button></form>
<script>${SCRIPT}</script></html>`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/**
 * A cookie goes only if name, domain, path and partition are those with which it was set (RFC 6265 5.3), and over http
 * no browser takes one with `Secure`. `isOwnSecure`: the application's own pages are served over TLS.
 */
function clearing(
  { name, path = '/', domain, secure, sameSite, httpOnly, partitioned }: SessionCookie,
  isOwnSecure: boolean,
): string {
  const isSecure = secure === 'auto' ? isOwnSecure : (secure ?? false)
  const site = sameSite === true ? 'strict' : sameSite === false ? undefined : sameSite
  return [
    `${name}=`,
    `Path=${path}`,
    'Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    ...(domain ? [`Domain=${domain}`] : []),
    ...((httpOnly ?? true) ? ['HttpOnly'] : []),
    ...(isSecure ? ['Secure'] : []),
    ...(site ? [`SameSite=${site[0]?.toUpperCase()}${site.slice(1)}`] : []),
    ...(partitioned ? ['Partitioned'] : []),
  ].join('; ')
}
