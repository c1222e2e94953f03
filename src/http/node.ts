// The skin for Node's http, Express 4 and 5 and everything connect-style. Never calls `next`, never throws.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ReceiverOptions, receive } from '../receivers/backchannel.js'
import type { Answer } from './answer.js'
import { assertForm, BoundedBody, badRequest, tokenOfForm, tokenOfParsedBody } from './form.js'

/** A request handler for Node's http module; Express takes it as it is. */
export type NodeHandler = (req: IncomingMessage & { body?: unknown }, res: ServerResponse) => void

export function nodeHandler(options: ReceiverOptions): NodeHandler {
  return (req, res) => {
    const readToken = () => readNodeToken(req, options)
    void receive({ method: req.method, readToken }, options)
      .then((answer) => send(res, req, answer))
      .catch(() => res.destroy()) // A response that cannot be written to is the host's own trouble, and its end.
  }
}

async function readNodeToken(
  req: IncomingMessage & { body?: unknown },
  { bodyLimitBytes, answerDeadlineSeconds }: ReceiverOptions,
): Promise<string> {
  // Express gives each request a prototype of its own, which makes every look at one slow: so it is looked at once.
  const { headers } = req
  const isParsed = wasParsed(req)
  assertForm(headers['content-type'], isParsed ? undefined : headers['content-encoding'])
  if (isParsed) return tokenOfParsedBody(req.body)
  const body = new BoundedBody(bodyLimitBytes, headers['content-length'])
  await readInto(body, req, answerDeadlineSeconds)
  return tokenOfForm(body.text())
}

/** Some parsers leave an empty `req.body` behind without having read anything: the stream itself knows. */
function wasParsed(req: IncomingMessage): boolean {
  return req.readableDidRead || req.readableEnded
}

function readInto(body: BoundedBody, req: IncomingMessage, deadlineSeconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => giveUp(badRequest('body_late')), deadlineSeconds * 1000)
    const onData = (chunk: Uint8Array | string) => {
      try {
        body.push(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk)
      } catch (error) {
        giveUp(error)
      }
    }
    let isSettled = false
    const giveUp = (error: unknown): void => {
      isSettled = true
      clearTimeout(late)
      req.off('data', onData).pause()
      reject(error)
    }
    const onGone = (cause?: unknown) => {
      if (!isSettled) giveUp(badRequest('body_aborted', cause))
    }
    const onEnd = () => {
      isSettled = true
      clearTimeout(late)
      resolve()
    }
    // To take the other three off again would cost more than to leave them.
    req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  })
}

function send(res: ServerResponse, req: IncomingMessage, { status, headers, body }: Answer): void {
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
