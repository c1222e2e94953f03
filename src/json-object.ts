// JSON as it comes from outside: strict about bytes, careless about nothing. Knows no claim.

/** A JSON object of unknown content. Read its members with {@link own}: a name may be missing and yet answer. */
export type JsonObject = Readonly<Record<string, unknown>>

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The JSON object in these bytes; `undefined` if they are not UTF-8 (invalid sequences are not replaced, a byte order
 * mark is not skipped), not JSON, or not an object. Of duplicate member names the last one counts, as RFC 7519 section
 * 4 allows: what is read is what the provider's signature covers, and every rule is applied to that same reading.
 */
export function jsonObjectIn(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes))
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of the object itself, never one of its prototype. */
export function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}
