// What counts as a JSON Web Key before anybody uses it.
import type { JWK } from 'jose'
import { isJsonObject, own } from '../json-object.js'

export type { JSONWebKeySet, JWK } from 'jose'

/** RFC 7517 4: an object with a key type. What else it needs is found out by using it. */
export function isJwk(value: unknown): value is JWK {
  return isJsonObject(value) && typeof own(value, 'kty') === 'string'
}
