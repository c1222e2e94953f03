// From an HTTP body to one string: form-urlencoded, and the field that is asked for exactly once. Believes nothing else.
import { badField, badRequest } from './bad-request.js'

/** Refuses a request for being anything but a form, before its body is looked at. */
export function assertForm(contentType: string | null | undefined, contentEncoding: string | null | undefined): void {
  if (!isForm(contentType)) throw badRequest('content_type')
  if (contentEncoding && contentEncoding.trim().toLowerCase() !== 'identity') throw badRequest('content_encoding')
}

/** Whether this is the media type of a form; parameters such as `charset` may follow. */
export function isForm(contentType: string | null | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/x-www-form-urlencoded'
}

/** What nearly every sender sends: nothing but the field, and nothing in it to decode. */
const NOTHING_TO_DECODE = /^[\w.-]+$/

/** The field of a body as it came over the wire. Latin 1, which no byte sequence can break: what is not ASCII is refused later. */
export function fieldOfForm(body: Uint8Array, field: string): string {
  return fieldOfText(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), field)
}

/** The field of a body that the host application has parsed already, by whichever parser. */
export function fieldOfParsedBody(body: unknown, field: string): string {
  if (typeof body === 'string') return fieldOfText(body, field)
  if (body instanceof Uint8Array) return fieldOfForm(body, field)
  if (body instanceof URLSearchParams) return theOne(body.getAll(field), field)
  if (typeof body !== 'object' || body === null) throw badRequest('body_consumed')
  const value: unknown = Object.getOwnPropertyDescriptor(body, field)?.value
  return theOne(value === undefined ? [] : [value], field)
}

function fieldOfText(text: string, field: string): string {
  if (text.startsWith(field) && text[field.length] === '=') {
    const value = text.slice(field.length + 1)
    if (NOTHING_TO_DECODE.test(value)) return value
  }
  return theOne(new URLSearchParams(text).getAll(field), field)
}

function theOne(values: readonly unknown[], field: string): string {
  const [value, ...more] = values
  if (value === undefined) throw badField(field, 'missing')
  if (more.length > 0 || typeof value !== 'string') throw badField(field, 'repeated')
  if (value === '') throw badField(field, 'missing')
  return value
}
