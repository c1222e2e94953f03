// The skin for Node's http, Express 4 and 5 and everything connect-style. Never calls `next`, never throws, knows no token.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Answer, ReceivedRequest, Respond } from './answer.js'
import { type BodyBounds, readNodeBody } from './bounded-body.js'
import { assertForm, fieldOfForm, fieldOfParsedBody } from './form.js'

/** A request handler for Node's http module; Express takes it as it is. */
export type NodeHandler = (req: NodeRequest, res: ServerResponse) => void

/** A request whose body a parser may have read already. */
export type NodeRequest = IncomingMessage & { readonly body?: unknown }

/** Answers each request with what `respond` makes of it. */
export function nodeHandler(respond: Respond, bounds: BodyBounds): NodeHandler {
  return (req, res) => {
    void respond(new NodeReceived(req, bounds))
      .then((answer) => send(res, req, answer))
      .catch(() => res.destroy()) // A response that cannot be written to is the host's own trouble, and its end.
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

  async readField(name: string): Promise<string> {
    // Express gives each request a prototype of its own, which makes every look at one slow: so it is looked at once.
    const req = this.#req
    const { headers } = req
    const isParsed = wasParsed(req)
    assertForm(headers['content-type'], isParsed ? undefined : headers['content-encoding'])
    if (isParsed) return fieldOfParsedBody(req.body, name)
    return fieldOfForm(await readNodeBody(req, this.#bounds), name)
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
  // HTTP/2 has no such header, and streams of their own.
  const closing = isUnread && req.httpVersionMajor === 1
  res.writeHead(status, closing ? { ...headers, Connection: 'close' } : headers)
  if (isUnread) res.once('finish', () => req.destroy())
  res.end(body)
}
