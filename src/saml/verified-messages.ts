// From a message as it came to a document that the identity provider signed: node-saml verifies. Judges nothing that
// the document says.
import { isLate, within } from '../deadline.js'
import { asNodeSaml, extended, type NodeSaml } from './node-saml.js'
import type { ReceivedMessage } from './redirect-query.js'
import { samlRefusal } from './refusals.js'
import { assertMayBeSigned } from './unparsed-xml.js'
import type { XmlNode } from './xml-view.js'

/** What the identity provider signed, whole. */
export interface VerifiedDocument {
  readonly root: XmlNode
  /** What node-saml itself read of a LogoutRequest: a part of what has to be checked. */
  readonly profile: Readonly<Record<string, unknown>> | undefined
}

interface Dom {
  readonly documentElement: XmlNode
}

export class VerifiedMessages {
  readonly #saml: NodeSaml
  /** node-saml keeps the document to itself once it has verified it: this one hands it on. */
  readonly #reader: NodeSaml

  constructor(saml: NodeSaml) {
    this.#saml = saml
    const handOn = async (doc: unknown, dom: Dom) => ({ profile: await this.#read(doc, dom), loggedOut: true })
    this.#reader = extended(saml, {
      processValidlySignedPostRequestAsync: handOn,
      processValidlySignedSamlLogoutAsync: handOn,
      // It takes any status but success for an error. What came of the logout is read later, and which request it
      // answers.
      verifyLogoutResponse: async () => {},
    })
  }

  /**
   * Rejects with `ERR_SAML` for whatever node-saml does not take, and, as a reason of its own, where the keys to look
   * with could not be had in time: that says nothing against the message. With `ERR_DEADLINE` where node-saml itself
   * did not say in time. `remaining`: seconds.
   */
  async verify(message: ReceivedMessage, remaining: () => number): Promise<VerifiedDocument> {
    // Here the parser comes before the signature.
    if (message.binding === 'post') assertMayBeSigned(xmlOf(message))
    const reader = await this.#withKeys(remaining())
    try {
      const verified = message.binding === 'redirect' ? this.#redirected(reader, message) : posted(reader, message)
      const result = await within(remaining(), verified)
      const { profile } = result as { readonly profile: VerifiedDocument }
      return profile
    } catch (cause) {
      if (isLate(cause)) throw cause
      throw samlRefusal('not_verified', cause)
    }
  }

  /** node-saml would ask a callback in the middle of it, and what it throws then could be anything. */
  async #withKeys(seconds: number): Promise<NodeSaml> {
    if (typeof this.#saml.options.idpCert !== 'function') return this.#reader
    try {
      const keys = await within(seconds, Promise.resolve(asNodeSaml(this.#saml, this.#saml, 'getKeyInfosAsPem')))
      return extended(this.#reader, { getKeyInfosAsPem: async () => keys })
    } catch (cause) {
      throw samlRefusal('keys_unavailable', cause)
    }
  }

  /** Its signature first: what nobody signed is neither inflated nor parsed. */
  async #redirected(
    reader: NodeSaml,
    { parameters, signedOctets, otherOctets = [] }: ReceivedMessage,
  ): Promise<unknown> {
    const container = { ...parameters }
    const signed = async (octets: string): Promise<string> => {
      await asNodeSaml(this.#saml, reader, 'hasValidSignatureForRedirect', container, octets)
      return octets
    }
    const octets = await otherOctets.reduce((found, other) => found.catch(() => signed(other)), signed(signedOctets))
    return reader.validateRedirectAsync(container, octets)
  }

  async #read(doc: unknown, dom: Dom): Promise<VerifiedDocument> {
    const root = dom.documentElement
    if (root.localName !== 'LogoutRequest') return { root, profile: undefined }
    const read = await asNodeSaml(this.#saml, this.#reader, 'processValidlySignedPostRequestAsync', doc, dom)
    return { root, profile: (read as { readonly profile: Readonly<Record<string, unknown>> }).profile }
  }
}

/** By the one signature over the root element, which node-saml demands of a LogoutRequest: of a response as well. */
function posted(reader: NodeSaml, { kind, parameters }: ReceivedMessage): Promise<unknown> {
  return reader.validatePostRequestAsync({ SAMLRequest: parameters[kind] ?? '' })
}

/** As node-saml decodes it. */
function xmlOf({ kind, parameters }: ReceivedMessage): string {
  return Buffer.from(parameters[kind] ?? '', 'base64').toString('utf8')
}
