// One service provider, without a server: its sign-ons are records, and its Single Logout Service a function.
import { createVerify } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import { type Profile, SAML, type SamlConfig } from '@node-saml/node-saml'
import { expect } from 'vitest'
import type { ClaimsEvictor } from '../../src/access-tokens/index.js'
import { createBackchannelLogout, type LogoutEvent, type LogoutStore } from '../../src/index.js'
import { createSamlLogout, type SamlLogoutOptions, samlProvider } from '../../src/saml/index.js'
import { ACS, form, IDP, IDP_SLO, type LoginXml, loginResponse, posted, redirected, SLO, SP } from './forge.js'
import { keysOf } from './keys.js'

export function nodeSaml(options: Partial<SamlConfig> = {}): SAML {
  return new SAML({
    callbackUrl: ACS,
    issuer: SP,
    idpIssuer: IDP,
    idpCert: keysOf('idp').cert,
    entryPoint: 'https://idp.example.com/sso',
    logoutUrl: IDP_SLO,
    privateKey: keysOf('sp').key,
    signatureAlgorithm: 'sha256',
    ...options,
  })
}

export interface WorldOptions {
  readonly saml?: Partial<SamlConfig>
  readonly options?: Partial<SamlLogoutOptions>
  readonly store?: LogoutStore
  readonly retryForSeconds?: number
  readonly clock?: () => number
  readonly claims?: ClaimsEvictor
}

/** What node-saml makes of a login; it does so anew in no test, since signatures in XML take their time. */
const logins = new Map<string, Promise<Profile>>()

async function signedIn(login: LoginXml): Promise<Profile> {
  const { profile } = await nodeSaml().validatePostResponseAsync({ SAMLResponse: loginResponse(login) })
  if (profile === null) throw new Error('nobody signed in')
  return profile
}

export function world({ saml: samlOptions, options, store, retryForSeconds, clock, claims }: WorldOptions = {}) {
  const saml = nodeSaml(samlOptions)
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => {
    events.push(event)
  }
  const logout = createBackchannelLogout({
    provider: samlProvider(saml),
    onEvent,
    ...(store && { store }),
    ...(claims && { claims }),
    ...(clock && { clock }),
    ...(retryForSeconds !== undefined && { retryForSeconds }),
  })
  const slo = createSamlLogout(logout, {
    saml,
    url: SLO,
    landingPage: (outcome) => `/signed-out/${outcome}`,
    secret: 'a secret of more than thirty-two characters',
    onEvent,
    ...(clock && { clock }),
    ...options,
  })
  const profileOf = (login: LoginXml = {}) => {
    const key = JSON.stringify(login)
    const known = logins.get(key) ?? signedIn(login)
    logins.set(key, known)
    return known
  }
  return {
    saml,
    logout,
    slo,
    events,
    profileOf,
    /** A sign-on that lives. */
    async signIn(login: LoginXml = {}) {
      const signOn = await logout.signOn(slo.claims(await profileOf(login)))
      if (signOn === undefined) throw new Error('the login was ended before it was bound')
      return signOn
    },
    redirect: (query: string, cookie?: string) =>
      slo.fetch(new Request(`${SLO}?${query}`, cookie === undefined ? {} : { headers: { cookie } })),
    post: (fields: Readonly<Record<string, string>>, cookie?: string) =>
      slo.fetch(
        new Request(SLO, {
          method: 'POST',
          body: new URLSearchParams(fields),
          ...(cookie !== undefined && { headers: { cookie } }),
        }),
      ),
    reasons: () =>
      events.flatMap((event) => (event.type === 'refused' ? [event.error.reason ?? event.error.code] : [])),
  }
}

export type World = ReturnType<typeof world>

/** Both bindings of a message; each must be judged alike. */
export const BINDINGS: readonly (readonly [
  binding: string,
  send: (to: World, xml: string, about?: { by?: string; relayState?: string; sign?: boolean }) => Promise<Response>,
])[] = [
  ['redirect', (to, xml, about) => to.redirect(redirected(xml, about))],
  ['POST', (to, xml, about) => to.post(posted(xml, about))],
]

export { form }

/**
 * The LogoutResponse in an answer, once its signature was verified over the octets of the address as it was sent, and
 * as a browser that is redirected sends it on.
 */
export function logoutResponse(answer: Response) {
  expect(answer.status).toBe(303)
  const location = answer.headers.get('location') ?? ''
  const [address = '', query = ''] = location.split('?')
  const parameters = new URLSearchParams(query)
  for (const sent of [query, new URL(location).search.slice(1)]) {
    const tokens = sent.split('&').filter((token) => !token.startsWith('Signature='))
    const verify = createVerify('RSA-SHA256').update(tokens.join('&'))
    expect(verify.verify(keysOf('sp').cert, parameters.get('Signature') ?? '', 'base64')).toBe(true)
  }
  const xml = inflateRawSync(Buffer.from(parameters.get('SAMLResponse') ?? '', 'base64')).toString()
  return {
    address,
    xml,
    relayState: parameters.get('RelayState'),
    inResponseTo: /InResponseTo="([^"]*)"/.exec(xml)?.[1],
    destination: /Destination="([^"]*)"/.exec(xml)?.[1],
    /** Top-level and second-level. */
    status: [...xml.matchAll(/StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:(\w+)"/g)].map(([, code]) => code),
  }
}
