// Whether a client is configured, for those calls that name one. Refuses what names nobody.
import type { Client, LogoutTarget } from '../marks/target.js'
import { isText } from '../option-checks.js'
import type { Provider } from './provider.js'

/** Where a function decides, every client may be one. */
export function isUnknown({ issuer, clientId }: Client, configured: readonly { readonly client: Client }[]): boolean {
  if (configured.length === 0) return false
  return !configured.some(({ client }) => client.issuer === issuer && client.clientId === clientId)
}

/** The same for an issuer alone, of those whose front-channel requests are taken. */
export function isUnknownIssuer(issuer: string, configured: readonly Pick<Provider, 'client' | 'protocol'>[]): boolean {
  return configured.length > 0 && !configured.some((each) => isOidc(each) && each.client.issuer === issuer)
}

/** Whose Logout Tokens and front-channel requests are taken: SAML has messages of its own. */
export function isOidc({ protocol }: Pick<Provider, 'protocol'>): boolean {
  return protocol === 'oidc'
}

/** @throws TypeError for a target of a client that is not configured, or without anybody in it */
export function assertTarget(
  target: LogoutTarget,
  what: string,
  configured: readonly { readonly client: Client }[],
): void {
  const { issuer, clientId } = target
  if (typeof issuer !== 'string' || typeof clientId !== 'string') {
    throw new TypeError(`${what} needs a target with issuer and clientId, as configured for the provider`)
  }
  if (isUnknown({ issuer, clientId }, configured)) {
    throw new TypeError(`${what} names an issuer and clientId that are not configured as a provider`)
  }
  assertNamed(target, what)
}

function assertNamed({ sid, sub }: LogoutTarget, what: string): void {
  if (!(sid === undefined ? isText(sub) : isText(sid) && (sub === undefined || isText(sub)))) {
    throw new TypeError(`${what} needs a target with a sid or a sub, each a non-empty string`)
  }
}
