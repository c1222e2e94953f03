// The skin for Node's http, Express 4 and 5 and everything connect-style: what a handler may be handed, and how it
// answers. Never calls `next`, throws nothing but what an application has done wrongly, knows no token.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import type { Answer, FormFields, ReceivedRequest, Respond } from './answer.js'
import { type BodyBounds, readNodeBody } from './bounded-body.js'
import { assertForm, fieldOfForm, fieldOfParsedBody, formOf } from './form.js'

/** A request handler for Node's http module; Express takes it as it is. */
export type NodeHandler = (req: NodeRequest, res: ServerResponse) => void

/** A request whose body a parser may have read already. */
export type NodeRequest = IncomingMessage & { readonly body?: unknown }

/** Answers each request with what `respond` makes of it. `giver`: what has it as `receiver()`, and beside it `fetch`. */
export function nodeHandler(respond: Respond, bounds: BodyBounds, giver: string): NodeHandler {
  return nodeEntry(
    `${giver}.receiver()`,
    async (req: NodeRequest, res) => send(res, req, await respond(new NodeReceived(req, bounds))),
    `with Hono, and wherever requests are those of the Web, call ${giver}.fetch(c.req.raw)`,
  )
}

/**
 * A handler that nobody waits for: whatever becomes of the answer, the process lives.
 *
 * @param elsewhere what to call where there is no request of Node's
 */
export function nodeEntry<Req extends IncomingMessage>(
  call: string,
  answer: (req: Req, res: ServerResponse) => Promise<void>,
  elsewhere?: string,
): (req: Req, res: ServerResponse) => void {
  return (req, res) => {
    assertNode(call, req, res, elsewhere)
    answer(req, res).catch(() => abandon(res))
  }
}

/** A response that cannot be written to is the host's own trouble, and its end. */
function abandon(res: ServerResponse): void {
  try {
    res.destroy()
  } catch {
    // A stand-in without that method.
  }
}

/**
 * Other frameworks hand their handlers objects of their own. To go on with these would fail where nobody listens, and
 * an unheard rejection ends the process: so it is said at once, to the framework, which answers 500 and goes on.
 *
 * @throws TypeError with what to give in their place
 */
export function assertNode(call: string, req: unknown, res: unknown, elsewhere = HONO): void {
  if (has(req, 'on') && isNodeResponse(res)) return
  throw new TypeError(`${call} takes the request and the response of Node's http: ${FASTIFY}; ${KOA}; ${elsewhere}`)
}

/**
 * The same of middleware, which reads no more of a request than its headers, and goes on by `next` alone. The headers are
 * not read here: Node makes that object when it is first asked for, and a bearer check needs the raw list alone.
 */
export function assertConnect(call: string, elsewhere: string, req: unknown, res: unknown, next: unknown): void {
  if ('headers' in Object(req) && isNodeResponse(res) && typeof next === 'function') return
  throw new TypeError(
    `${call} takes the request and the response of Node's http, and next, as middleware of Express does: ` +
      `elsewhere ask ${elsewhere}`,
  )
}

const FASTIFY = 'with Fastify, also under Nest, call reply.hijack() and give it request.raw and reply.raw'
const KOA = 'with Koa, set ctx.respond = false and give it ctx.req and ctx.res'
const HONO = 'with Hono on Node, give it c.env.incoming and c.env.outgoing, and return RESPONSE_ALREADY_SENT'

function isNodeResponse(res: unknown): boolean {
  return has(res, 'setHeader') && has(res, 'end')
}

function has(object: unknown, method: string): boolean {
  return typeof object === 'object' && object !== null && typeof Reflect.get(object, method) === 'function'
}

/**
 * What an application calls to have its handler. Mounted without its parentheses it would be called with each request,
 * answer none, and say nothing: it takes no argument, which the compiler and the first request say.
 */
export function handlerGiver<Handler>(handler: Handler, call: string): (...none: never[]) => Handler {
  return (...given) => {
    if (given.length === 0) return handler
    throw new TypeError(
      `${call} gives the handler, and takes nothing: write app.all(path, ${call}), with the parentheses`,
    )
  }
}

class NodeReceived implements ReceivedRequest {
  readonly #req: NodeRequest
  readonly #bounds: BodyBounds

  constructor(req: NodeRequest, bounds: BodyBounds) {
    this.#req = req
    this.#bounds = bounds
  }

  get method(): string | undefined {
    return this.#req.method
  }

  get url(): string {
    return this.#req.url ?? ''
  }

  get sender(): string | undefined {
    return this.#req.socket?.remoteAddress
  }

  get cookies(): string | undefined {
    return this.#req.headers.cookie
  }

  readField(name: string): Promise<string> {
    return this.#read(
      (body) => fieldOfParsedBody(body, name),
      (body) => fieldOfForm(body, name),
    )
  }

  readForm(): Promise<FormFields> {
    return this.#read(formOf, formOf)
  }

  async #read<T>(ofParsedBody: (body: unknown) => T, ofBody: (body: Uint8Array) => T): Promise<T> {
    // Express gives each request a prototype of its own, which makes every look at one slow: so it is looked at once.
    const req = this.#req
    const { headers } = req
    const isParsed = wasParsed(req)
    assertForm(headers['content-type'], isParsed ? undefined : headers['content-encoding'])
    return isParsed ? ofParsedBody(req.body) : ofBody(await readNodeBody(req, this.#bounds))
  }
}

/** Some parsers leave an empty `req.body` behind without having read anything: the stream itself knows. */
export function wasParsed(req: IncomingMessage): boolean {
  return req.readableDidRead || req.readableEnded
}

/** Sends an answer whatever became of the request; never throws. */
export function send(res: ServerResponse, req: IncomingMessage, { status, headers, body }: Answer): void {
  if (res.headersSent || res.destroyed) return
  res.on('error', () => {}) // The sender may be gone; there is nobody left to tell.
  // What was not read must not be taken for the connection's next request, nor be waited for.
  const isUnread = !req.complete
  // HTTP/2 has no such header: there each request has a stream of its own, which is reset after the answer (RFC 9113
  // 8.1). Else it stays open until the sender ends it, and one connection has room for very many.
  const closing = isUnread && req.httpVersionMajor === 1
  res.writeHead(status, closing ? { ...headers, Connection: 'close' } : headers)
  if (isUnread) {
    const { stream }: { readonly stream?: Pick<ServerHttp2Stream, 'once' | 'close'> } = Object(res)
    if (stream === undefined) res.once('finish', () => req.destroy())
    else stream.once('finish', () => stream.close()) // The response itself finishes only when its stream is closed.
  }
  res.end(body)
}
