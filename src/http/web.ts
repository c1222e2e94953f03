// The skin for everything that speaks Web `Request` and `Response`: Hono, Next.js route handlers, and the like. Knows
// no token.
import type { ReceivedRequest, Respond } from './answer.js'
import { badRequest } from './bad-request.js'
import { type BodyBounds, readWebBody } from './bounded-body.js'
import { assertForm, fieldOfForm, formOf } from './form.js'

/** Answers one request. Rejects only for what is none, such as a request of Express (TypeError). */
export type WebHandler = (request: Request) => Promise<Response>

/** Answers each request with what `respond` makes of it. */
export function webHandler(respond: Respond, bounds: BodyBounds): WebHandler {
  return async (request) => {
    if (typeof request?.headers?.get !== 'function') {
      throw new TypeError('fetch takes a Web Request: for Express and Node’s http there is receiver()')
    }
    const { status, headers, body } = await respond(receivedFrom(request, bounds))
    return new Response(body, { status, headers })
  }
}

function receivedFrom(request: Request, bounds: BodyBounds): ReceivedRequest {
  const body = async () => {
    const { headers } = request
    assertForm(headers.get('content-type'), headers.get('content-encoding'))
    if (request.bodyUsed || request.body?.locked) throw badRequest('body_consumed')
    return readWebBody(request, bounds)
  }
  return {
    method: request.method,
    url: request.url,
    sender: undefined,
    cookies: request.headers.get('cookie') ?? undefined,
    readField: async (name) => fieldOfForm(await body(), name),
    readForm: async () => formOf(await body()),
  }
}
