// What is sent back, whoever asked: a status, headers that forbid to keep it, a short body. Knows no endpoint.

/** A whole HTTP response. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Asked by one of the skins; resolves to the answer and never rejects. */
export type Respond = (request: ReceivedRequest) => Promise<Answer>

/** A request as both skins show it. */
export interface ReceivedRequest {
  readonly method: string | undefined
  /** Path and query as they came, or the whole URL. */
  readonly url: string
  /** Where it came from, as far as the skin knows: the address of the other end of the connection. */
  readonly sender: string | undefined
  /** The header `Cookie`, as it came. */
  readonly cookies: string | undefined
  /** The one value of a form's field. Rejects with `ERR_REQUEST`. */
  readField(name: string): Promise<string>
  /** The whole form, read once. Rejects with `ERR_REQUEST`. */
  readForm(): Promise<FormFields>
}

/** The fields of a form. */
export interface FormFields {
  /** `undefined` where there is no such field. Throws `ERR_REQUEST` where there are several, or no string. */
  optional(name: string): string | undefined
}

const NO_STORE = { 'Cache-Control': 'no-store' }

/** No body, and that is said: some senders wait for a length. */
export function empty(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { ...NO_STORE, 'Content-Length': '0', ...headers }, body: '' }
}

/** A JSON body in UTF-8. */
export function json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = JSON.stringify(value)
  const length = String(Buffer.byteLength(body))
  return {
    status,
    headers: { ...NO_STORE, 'Content-Type': 'application/json', 'Content-Length': length, ...headers },
    body,
  }
}
