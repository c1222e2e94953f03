// How the options of a provider are read: each by its name, so that a mistake says which. Knows none of them.
import { isJsonObject, type JsonObject } from '../json-object.js'
import { assertNumber, assertOptions, isText } from '../option-checks.js'

export function closed(what: string, value: unknown, names: Readonly<Record<string, true>>): JsonObject {
  assertOptions(what, value, names)
  if (!isJsonObject(value)) throw new TypeError(`${what} must be an object of options`)
  return value
}

export function text(name: string, value: unknown): string {
  if (isText(value)) return value
  throw new TypeError(`provider option ${name} must be a non-empty string`)
}

export function texts(name: string, value: unknown): readonly string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every(isText)) return [...value]
  throw new TypeError(`provider option ${name} must be an array of non-empty strings`)
}

export function flag(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw new TypeError(`provider option ${name} must be true or false`)
}

/** The first choice is the default. */
export function oneOf<const T extends string | number>(name: string, value: unknown, choices: readonly [T, ...T[]]): T {
  if (value === undefined) return choices[0]
  const chosen = choices.find((choice) => choice === value)
  if (chosen !== undefined) return chosen
  throw new TypeError(
    `provider option ${name} must be one of ${choices.map((each) => JSON.stringify(each)).join(', ')}`,
  )
}

export function seconds(
  name: string,
  value: unknown,
  { fallback, above, max }: { readonly fallback: number; readonly above?: number; readonly max: number },
): number {
  if (value === undefined) return fallback
  assertNumber(`provider option ${name}`, value, { ...(above !== undefined && { above }), most: max })
  return value
}
