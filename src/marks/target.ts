// What a logout points at, and the keys under which stores know it. Of a token it knows which
// part is signed; of a store, nothing.
import { hash } from 'node:crypto'

/** The relying party's registration at one OpenID Provider: everything in this package is scoped by both. */
export interface Client {
  /** Issuer identifier of the OpenID Provider, exactly as in its tokens. */
  readonly issuer: string
  /** `client_id` of this Relying Party at that provider. */
  readonly clientId: string
}

/**
 * What a Logout Token points at: one `sid`, or every session of a `sub` (BCL 2.4, 2.7).
 * With `sid`, a `sub` only narrows: a session found by `sid` that belongs to another `sub` is left alone.
 */
export type LogoutTarget = Client &
  ({ readonly sid: string; readonly sub?: string | undefined } | { readonly sid?: undefined; readonly sub: string })

/** A target as stores see it: hashes only, so that no key name, log or dump shows a `sub` or `sid`. */
export interface TargetKey {
  readonly scope: 'sid' | 'sub' | 'token'
  readonly key: string
  /** Only with scope `sid`, and only if the token named a `sub`: the key of that `sub`. */
  readonly subKey?: string | undefined
}

/** Key of one OP session at one client. */
export function sidKey(client: Client, sid: string): string {
  return keyOf('sid', client, sid)
}

/** Key of one subject at one client. */
export function subKey(client: Client, sub: string): string {
  return keyOf('sub', client, sub)
}

/** Key of one Logout Token's `jti` at one client: a `jti` is unique per issuer only (RFC 7519 4.1.7). */
export function jtiKey(client: Client, jti: string): string {
  return keyOf('jti', client, jti)
}

/** A JOSE header in base64url begins so (`{"`, or `{` and white space); another token in three parts does not. */
const COMPACT_JWS = /^(e[wy][\w-]*\.[\w-]+)\.[^.]*$/

/**
 * Key of the marks of one access token: SHA-256, since the token is a secret, of what is signed. A signature has
 * several spellings that are all good (unused bits of its last character, padding, ECDSA's other half), and the token
 * is the same one under each. What is no JWS in compact form has nothing that is known to be spare: the whole text.
 *
 * Never the key of anything that says that a token is good: a forged signature would find it.
 */
export function tokenKey(token: string): string {
  return sha256(COMPACT_JWS.exec(token)?.[1] ?? token)
}

/** In base64url. */
export function sha256(text: string): string {
  return hash('sha256', text, 'base64url')
}

/** Key of one sign-on that a cookie carries: by its own id, or by all that an older record says of it. */
export function signOnKey(
  signOn: Client & { readonly id?: string; readonly sub: string; readonly sid?: string; readonly boundAt: number },
): string {
  const { id, sub, sid, boundAt } = signOn
  return keyOf('sign-on', signOn, id ?? JSON.stringify([sub, sid ?? null, boundAt]))
}

/** The key under which a target's mark is written and its bindings are found. */
export function targetKey(target: LogoutTarget): TargetKey {
  if (target.sid === undefined) return { scope: 'sub', key: subKey(target, target.sub) }
  const key = sidKey(target, target.sid)
  return target.sub === undefined ? { scope: 'sid', key } : { scope: 'sid', key, subKey: subKey(target, target.sub) }
}

/** 132 bits of SHA-256: nobody finds two values that share a key, and each session costs a store two keys. */
const KEY_LENGTH = 22

/** JSON of an array is a length-safe encoding: no choice of issuer, client id and value can imitate another. */
function keyOf(kind: 'sid' | 'sub' | 'jti' | 'sign-on', client: Client, value: string): string {
  const digest = sha256(JSON.stringify([kind, client.issuer, client.clientId, value]))
  // A slice would keep the whole digest alive behind each key that a store holds; a copy does not.
  return Buffer.from(digest, 'latin1').toString('latin1', 0, KEY_LENGTH)
}
