// Cookies by name: what a request brought under one, and how one of ours is named. Knows no attribute.
import { createHash } from 'node:crypto'

/** Browsers drop a cookie that is longer. Bytes, its attributes included. */
export const LONGEST_COOKIE = 4096

/**
 * Browsers keep cookies per host, not per port: two applications on one host must not overwrite each other's, so `of`
 * is in the name. And one that begins with `__Host-` is set by this host alone, for all of it: no neighbour on the
 * domain lays another over it.
 */
export function hostCookieName(prefix: string, of: string, isSecure: boolean): string {
  const name = `${prefix}_${shortHash(of)}`
  return isSecure ? `__Host-${name}` : name
}

/** A part of a cookie's name: it says nothing of what it is made of. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** Its values in the header `Cookie`: several where others may set cookies of that name for this host. */
export function cookieValues(header: string | undefined, name: string): readonly string[] {
  return cookiesBeginning(header, name).flatMap(([key, value]) => (key === name ? [value] : []))
}

/** Name and value of each whose name begins so, in the order in which they came. */
export function cookiesBeginning(header: string | undefined, prefix: string): readonly (readonly [string, string])[] {
  const cookies: (readonly [string, string])[] = []
  for (const pair of header?.split(';') ?? []) {
    const [key = '', value] = pair.split('=', 2)
    const name = key.trim()
    if (name.startsWith(prefix) && value !== undefined) cookies.push([name, value.trim()])
  }
  return cookies
}
