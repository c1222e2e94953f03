// From an HTTP body to one string: form-urlencoded, and the field that is asked for exactly once. Believes nothing
// else.
import type { FormFields } from './answer.js'
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

/**
 * The field of a body as it came over the wire. Latin 1, which no byte sequence can break: what is not ASCII is refused
 * later.
 */
export function fieldOfForm(body: Uint8Array, field: string): string {
  return fieldOfText(latin1(body), field)
}

/** The field of a body that the host application has parsed already, by whichever parser. */
export function fieldOfParsedBody(body: unknown, field: string): string {
  return theOne(valuesOfParsedBody(body, field), field)
}

/** All fields of a body, as it came over the wire or as the host application has parsed it already; decoded once. */
export function formOf(body: unknown): FormFields {
  const text = body instanceof Uint8Array ? latin1(body) : body
  const fields = typeof text === 'string' ? new URLSearchParams(text) : text
  return { optional: (name) => optionalOne(valuesOfParsedBody(fields, name), name) }
}

function optionalOne(values: readonly unknown[], field: string): string | undefined {
  return values.length === 1 && values[0] === '' ? '' : values.length === 0 ? undefined : theOne(values, field)
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

function valuesIn(text: string, field: string): readonly string[] {
  return new URLSearchParams(text).getAll(field)
}

function valuesOfParsedBody(body: unknown, field: string): readonly unknown[] {
  if (typeof body === 'string') return valuesIn(body, field)
  if (body instanceof Uint8Array) return valuesIn(latin1(body), field)
  if (body instanceof URLSearchParams) return body.getAll(field)
  if (typeof body !== 'object' || body === null) throw badRequest('body_consumed')
  const value: unknown = Object.getOwnPropertyDescriptor(body, field)?.value
  return value === undefined ? [] : [value]
}

function fieldOfText(text: string, field: string): string {
  if (text.startsWith(field) && text[field.length] === '=') {
    const value = text.slice(field.length + 1)
    if (NOTHING_TO_DECODE.test(value)) return value
  }
  return theOne(valuesIn(text, field), field)
}

function theOne(values: readonly unknown[], field: string): string {
  const [value, ...more] = values
  if (value === undefined) throw badField(field, 'missing')
  if (more.length > 0 || typeof value !== 'string') throw badField(field, 'repeated')
  if (value === '') throw badField(field, 'missing')
  return value
}
