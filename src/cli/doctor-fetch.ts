// One GET of a doctor's: a JSON object and how long it took, or in a few words why there is none. Believes nothing.
import { collected } from '../http/bounded-body.js'
import { MAX_BODY_BYTES } from '../http/fetched-documents.js'
import { isJsonObject, type JsonObject } from '../json-object.js'
import { shown } from './report.js'

/** Doctors are patient: a slow provider is to be measured, not given up. */
const PATIENCE_SECONDS = 10

class TooLargeError extends Error {}

interface Fetched {
  readonly seconds: number
  /** The other clock minus this one, as the headers came; absent where they do not say. */
  readonly secondsAhead: number | undefined
  readonly document: JsonObject | undefined
  readonly failure: string | undefined
}

export async function fetchJson(url: string): Promise<Fetched> {
  const began = performance.now()
  const failed = (failure: string): Fetched => ({
    seconds: (performance.now() - began) / 1000,
    secondsAhead: undefined,
    document: undefined,
    failure,
  })
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000),
    })
    const secondsAhead = secondsAheadIn(response.headers)
    const body = await collected(response.body ?? [], MAX_BODY_BYTES, () => new TooLargeError())
    const text = new TextDecoder().decode(body)
    const seconds = (performance.now() - began) / 1000
    if (response.status >= 300 && response.status < 400)
      return failed(`the answer was a redirect (${response.status}), which is not followed`)
    if (!response.ok) return failed(`the answer was ${response.status}`)
    try {
      const document: unknown = JSON.parse(text)
      if (isJsonObject(document)) return { seconds, secondsAhead, document, failure: undefined }
    } catch {
      // Said below.
    }
    return failed(/^\s*</.test(text) ? 'the answer is a page, not JSON' : 'the answer is not a JSON object')
  } catch (error) {
    if (error instanceof TooLargeError) return failed('the answer is larger than any metadata or keys are')
    const timedOut = error instanceof Error && error.name === 'TimeoutError'
    return failed(timedOut ? `no answer within ${PATIENCE_SECONDS} s` : `no connection (${codeOf(error)})`)
  }
}

/** Asked as soon as they are there. What a cache kept is older by its `Age` (RFC 9111 5.1). */
function secondsAheadIn(headers: Headers): number | undefined {
  const theirs = Date.parse(headers.get('date') ?? '')
  if (Number.isNaN(theirs)) return undefined
  const age = /^\d{1,9}$/.exec(headers.get('age') ?? '')?.[0]
  return (theirs - Date.now()) / 1000 + Number(age ?? 0)
}

/** A network error's code, such as ECONNREFUSED: its message may hold more than is asked. */
function codeOf(error: unknown): string {
  const { cause, code } = Object(error)
  return shown(String(Object(cause).code ?? code ?? 'unknown reason'), 40)
}
