// Bodies are read here and nowhere else: up to a limit, and where a sender may dawdle, up to a deadline. Knows no form.
import type { IncomingMessage } from 'node:http'
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { badRequest } from './bad-request.js'

/** How much of a request's body is read, and for how long. */
export interface BodyBounds {
  readonly bodyLimitBytes: number
  readonly bodyDeadlineSeconds: number
}

/** All of a stream of chunks. Rejects with `tooLarge()` as soon as it is larger, and reads no further. */
export async function collected(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limitBytes: number,
  tooLarge: () => Error,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Collected(limitBytes, tooLarge)
  // Leaving the loop by a throw cancels the stream and with it the connection.
  for await (const chunk of chunks) body.push(chunk)
  return body.bytes()
}

/** The body of a request to a Node server. Rejects with `ERR_REQUEST`; what is not read stays in the paused request. */
export async function readNodeBody(req: IncomingMessage, bounds: BodyBounds): Promise<Uint8Array<ArrayBuffer>> {
  const body = collector(bounds, req.headers['content-length'])
  await readInto(body, req, bounds.bodyDeadlineSeconds)
  return body.bytes()
}

/** The body of a Web request. Rejects with `ERR_REQUEST`. */
export async function readWebBody(request: Request, bounds: BodyBounds): Promise<Uint8Array<ArrayBuffer>> {
  const body = collector(bounds, request.headers.get('content-length'))
  const reader = request.body?.getReader()
  if (reader === undefined) return body.bytes()
  const readAll = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) body.push(next.value)
  }
  try {
    await within(bounds.bodyDeadlineSeconds, readAll())
    return body.bytes()
  } catch (error) {
    reader.cancel().catch(() => {}) // Tells the sender to stop; what is left of the body is not read.
    const code = error instanceof LogoutError ? error.code : undefined
    if (code === 'ERR_REQUEST') throw error
    throw badRequest(code === 'ERR_DEADLINE' ? 'body_late' : 'body_aborted', error)
  }
}

class Collected {
  readonly #limitBytes: number
  readonly #tooLarge: () => Error
  readonly #chunks: Uint8Array[] = []
  #length = 0

  constructor(limitBytes: number, tooLarge: () => Error) {
    this.#limitBytes = limitBytes
    this.#tooLarge = tooLarge
  }

  push(chunk: Uint8Array): void {
    this.#length += chunk.byteLength
    if (this.#length > this.#limitBytes) throw this.#tooLarge()
    this.#chunks.push(chunk)
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return Buffer.concat(this.#chunks)
  }
}

function collector({ bodyLimitBytes }: BodyBounds, declaredLength: string | null | undefined): Collected {
  if (Number(declaredLength ?? 0) > bodyLimitBytes) throw badRequest('body_too_large')
  return new Collected(bodyLimitBytes, () => badRequest('body_too_large'))
}

function readInto(body: Collected, req: IncomingMessage, deadlineSeconds: number): Promise<void> {
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
