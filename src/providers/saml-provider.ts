// What a provider may be configured with that speaks SAML: entity ids and the bounds of its sessions. Knows no message.
import { type JsonObject, own } from '../json-object.js'
import { assertOptions } from '../option-checks.js'
import type { EndSessionDialect } from './end-session-dialect.js'
import { text } from './option-values.js'

const NAMES: Readonly<Record<string, true>> = {
  issuer: true,
  clientId: true,
  protocol: true,
  clockToleranceSeconds: true,
  sessionMaxAgeSeconds: true,
  sessionIdleSeconds: true,
}

/** SAML logs out by messages of its own. */
export const NO_END_SESSION: EndSessionDialect = Object.freeze({ kind: 'none' })

/** Every other option is of OpenID Connect, and would do nothing. Throws a `TypeError` that names it. */
export function assertSamlOptions(given: JsonObject): void {
  const said = Object.keys(given).filter((name) => own(given, name) !== undefined)
  assertOptions('provider with protocol saml', Object.fromEntries(said.map((name) => [name, true])), NAMES)
}

/** SAML Core 8.3.6: a URI of at most 1,024 characters, which need not be the address of anything. */
export function entityId(value: unknown): string {
  const id = text('issuer', value)
  if (id.length > 1024) throw new TypeError('provider option issuer must be an entity id of at most 1,024 characters')
  return id
}
