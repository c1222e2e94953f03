// What is said to the identity provider, by redirect: node-saml writes it and signs it. The address is configured, and
// nothing of a message chooses it.
import { createSign } from 'node:crypto'
import { type ParsedUrlQueryInput, stringify } from 'node:querystring'
import { asNodeSaml, extended, type NodeSaml, type NodeSamlUser } from './node-saml.js'

/** What became of a LogoutRequest (Core 3.2.2.2). */
export type SamlStatus = 'success' | 'partial' | 'failed' | 'refused'

const STATUS = 'urn:oasis:names:tc:SAML:2.0:status:'

/** As node-saml writes each failure, and what it is to say instead. All of it are constants of SAML. */
const AS_WRITTEN = statusXml('Requester', 'UnknownPrincipal')
const STATUSES: Readonly<Record<Exclude<SamlStatus, 'success'>, string>> = {
  partial: statusXml('Responder', 'PartialLogout'),
  failed: statusXml('Responder'),
  refused: statusXml('Requester', 'RequestDenied'),
}

/** Request and response of a browser that is on its way: nobody else asks for these again. */
const NO_CACHE = { saveAsync: async () => null, getAsync: async () => null, removeAsync: async () => null }

export class SignedMessages {
  readonly #saml: NodeSaml
  readonly #responseUrl: string

  constructor(saml: NodeSaml, responseUrl: string) {
    this.#saml = saml
    this.#responseUrl = responseUrl
  }

  /** A LogoutRequest. Which of them are open is known by a cookie, at every node, and not by node-saml's cache. */
  async requestUrl(id: string, user: NodeSamlUser): Promise<string> {
    const options = { ...this.#saml.options, generateUniqueId: () => id }
    const signRequest = (message: Record<string, string>) => this.#sign(writer, message)
    const writer = extended(this.#saml, { options, cacheProvider: NO_CACHE, signRequest })
    return asSigned(await writer.getLogoutUrlAsync(user, '', {}))
  }

  /** A LogoutResponse. */
  async responseUrl(requestId: string, status: SamlStatus, relayState: string | undefined): Promise<string> {
    const logoutUrl = this.#responseUrl
    const { options } = this.#saml
    const writer = extended(this.#saml, {
      options: {
        ...options,
        ...withoutRelayState(options),
        logoutUrl,
        entryPoint: options.entryPoint ?? logoutUrl,
      },
      _generateLogoutResponse: (request: unknown) => this.#responseXml(writer, request, status),
      signRequest: (message: Record<string, string>) => this.#sign(writer, message),
    })
    return asSigned(await writer.getLogoutResponseUrlAsync({ ID: requestId }, relayState ?? '', {}, true))
  }

  /** node-saml signs an apostrophe as it is, which no browser sends: such a message is signed once more. */
  #sign(writer: NodeSaml, message: Record<string, string>): void {
    asNodeSaml(this.#saml, writer, 'signRequest', message)
    const { privateKey = '', signatureAlgorithm } = this.#saml.options
    const { SAMLRequest, SAMLResponse, RelayState, SigAlg } = message
    if (!RelayState?.includes("'")) return
    const carried = SAMLRequest === undefined ? { SAMLResponse } : { SAMLRequest }
    const signer = createSign(`RSA-${signatureAlgorithm}`).update(asSent({ ...carried, RelayState, SigAlg }))
    message.Signature = signer.sign(pemOf(String(privateKey)), 'base64')
  }

  #responseXml(writer: NodeSaml, request: unknown, status: SamlStatus): string {
    const isSuccess = status === 'success'
    const xml = String(asNodeSaml(this.#saml, writer, '_generateLogoutResponse', request, isSuccess))
    return isSuccess ? xml : withStatus(xml, STATUSES[status])
  }
}

/** @throws TypeError where node-saml writes its failures in another way */
export function assertWritesStatus(saml: NodeSaml): void {
  withStatus(String(asNodeSaml(saml, saml, '_generateLogoutResponse', { ID: '_0' }, false)), STATUSES.failed)
}

/** node-saml knows one failure, `UnknownPrincipal`, which this never is. */
function withStatus(xml: string, status: string): string {
  const [before, after, another] = xml.split(AS_WRITTEN)
  if (before === undefined || after === undefined || another !== undefined) {
    throw new TypeError('saml writes a LogoutResponse in another way than @node-saml/node-saml 5')
  }
  return before + status + after
}

function statusXml(code: string, second?: string): string {
  const open = `<samlp:StatusCode Value="${STATUS}${code}"`
  const nested = second === undefined ? '/>' : `><samlp:StatusCode Value="${STATUS}${second}"/></samlp:StatusCode>`
  return `<samlp:Status>${open}${nested}</samlp:Status>`
}

/** node-saml takes one without its first and last line as well. */
function pemOf(privateKey: string): string {
  if (privateKey.includes('-----BEGIN')) return privateKey
  return `-----BEGIN PRIVATE KEY-----\n${privateKey.replace(/\s/g, '').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----`
}

/** What node-saml adds to all it sends: in a response the RelayState is the one that came, or there is none. */
function withoutRelayState({ additionalParams, additionalLogoutParams }: NodeSaml['options']) {
  const { RelayState: _, ...always } = { ...additionalParams }
  const { RelayState: __, ...logout } = { ...additionalLogoutParams }
  return { additionalParams: always, additionalLogoutParams: logout }
}

/**
 * node-saml signs one encoding of the query and sends another, which differ in spaces, brackets and the like of a
 * RelayState (Bindings 3.4.4.1: the signature is over the octets as they are sent).
 */
function asSigned(url: string): string {
  const { origin, pathname, searchParams } = new URL(url)
  return `${origin}${pathname}?${[...searchParams].map(([name, value]) => asSent({ [name]: value })).join('&')}`
}

/** A browser that is redirected writes an apostrophe as `%27` (URL Standard), and nothing else of this anew. */
function asSent(query: ParsedUrlQueryInput): string {
  return stringify(query).replaceAll("'", '%27')
}
