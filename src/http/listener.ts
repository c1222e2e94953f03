// One path of a server, answered in front of the whole application that has the others. Knows no framework and no
// endpoint.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { assertOptions } from '../option-checks.js'
import type { NodeHandler } from './node.js'

/** A whole application, as `http.createServer` takes it: an Express app, Koa's `app.callback()`, a function. */
export type ApplicationListener = (req: IncomingMessage, res: ServerResponse) => unknown

/** What of a server's requests `listener` keeps from the application. */
export interface ListenerOptions {
  /**
   * The path of the `backchannel_logout_uri`, as it arrives at this server: begins with `/`, without query or fragment.
   * It is compared letter by letter: nothing is decoded, no slash is added or left out.
   */
  readonly path: string
}

/**
 * Hands the requests of one path to `handler`, whatever their method and query, and all others to `app`, as they came.
 */
export function inFrontOf(
  app: ApplicationListener,
  handler: NodeHandler,
  options: ListenerOptions,
): ApplicationListener {
  if (typeof app !== 'function') {
    throw new TypeError(
      "listener() needs the application as a function of request and response: an Express app, Koa's app.callback(), " +
        'or the handler that Fastify gives to its option serverFactory',
    )
  }
  assertOptions('listener()', options, { path: true })
  const { path } = options
  assertPath(path)
  return (req, res) => (pathOf(req.url ?? '') === path ? handler(req, res) : app(req, res))
}

function assertPath(path: unknown): void {
  if (typeof path === 'string' && !/[?#]/.test(path) && isAsInUrl(path)) return
  throw new TypeError(
    "listener(): path must be the path of your backchannel_logout_uri as it arrives here, e.g. '/backchannel-logout': " +
      'it begins with a slash, has no host, query or fragment, and is encoded as in a URL',
  )
}

/** What a URL would write otherwise never arrives: spaces, letters beyond ASCII, dots for folders, a host. */
function isAsInUrl(path: string): boolean {
  const base = 'http://localhost'
  return URL.canParse(path, base) && new URL(path, base).href === base + path
}

/**
 * RFC 9112 3.2: a request target is a path with its query, or the whole URL where the sender takes this for a proxy.
 */
function pathOf(target: string): string {
  const rest = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '')
  const query = rest.indexOf('?')
  return query < 0 ? rest : rest.slice(0, query)
}
