// The skin for everything that speaks Web `Request` and `Response`: Hono, Next.js route handlers, and the like.
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { type ReceiverOptions, receive } from '../receivers/backchannel.js'
import { assertForm, BoundedBody, badRequest, tokenOfForm } from './form.js'

/** Answers one request; never rejects. */
export type WebHandler = (request: Request) => Promise<Response>

export function webHandler(options: ReceiverOptions): WebHandler {
  return async (request) => {
    const readToken = () => readWebToken(request, options)
    const { status, headers, body } = await receive({ method: request.method, readToken }, options)
    return new Response(body, { status, headers })
  }
}

async function readWebToken(
  request: Request,
  { bodyLimitBytes, answerDeadlineSeconds }: ReceiverOptions,
): Promise<string> {
  const { headers } = request
  assertForm(headers.get('content-type'), headers.get('content-encoding'))
  if (request.bodyUsed || request.body?.locked) throw badRequest('body_consumed')
  const body = new BoundedBody(bodyLimitBytes, headers.get('content-length'))
  await readInto(body, request, answerDeadlineSeconds)
  return tokenOfForm(body.text())
}

async function readInto(body: BoundedBody, request: Request, deadlineSeconds: number): Promise<void> {
  const reader = request.body?.getReader()
  if (reader === undefined) return
  const readAll = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) body.push(next.value)
  }
  try {
    await within(deadlineSeconds, readAll())
  } catch (error) {
    reader.cancel().catch(() => {}) // Tells the sender to stop; what is left of the body is not read.
    const code = error instanceof LogoutError ? error.code : undefined
    if (code === 'ERR_REQUEST') throw error
    throw badRequest(code === 'ERR_DEADLINE' ? 'body_late' : 'body_aborted', error)
  }
}
