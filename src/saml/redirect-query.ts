// The query of the HTTP-Redirect binding (Bindings 3.4.4): each parameter once, spelled as it is signed. Believes
// nothing.
import { samlRefusal } from './refusals.js'

/** A message as it came, not verified. */
export interface ReceivedMessage {
  readonly binding: 'redirect' | 'post'
  readonly kind: 'SAMLRequest' | 'SAMLResponse'
  /** Decoded, by name. */
  readonly parameters: Readonly<Record<string, string>>
  /** What the signature of the redirect binding covers, letter by letter. */
  readonly signedOctets: string
  /** The same as they may have been signed, where they were spelled anew on the way. */
  readonly otherOctets?: readonly string[]
  readonly relayState: string | undefined
}

/** In the order in which they are signed. */
const SIGNED: readonly string[] = ['SAMLRequest', 'SAMLResponse', 'RelayState', 'SigAlg']
const NAMES: readonly string[] = [...SIGNED, 'Signature', 'SAMLEncoding']
const DEFLATE = 'urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE'
/** Bindings 3.4.3 allows 80 bytes; many send more. */
const LONGEST_RELAY_STATE = 1024

/**
 * node-saml looks for the signed parameters by a part of their names, among them as they came, and takes the message
 * from the decoded ones: a name that comes twice, or is spelled `%53AMLRequest`, would let one be verified and the other
 * be read. So each is there once, by its own letters, and nothing else is handed on.
 */
export function redirectMessage(url: string): ReceivedMessage {
  const raw = new Map<string, string>()
  for (const token of queryOf(url).split('&')) {
    const name = token.split('=', 1)[0] ?? ''
    const meant = [...new URLSearchParams(token).keys()][0] ?? ''
    if (!NAMES.includes(meant)) continue
    if (meant !== name || raw.has(name)) throw samlRefusal('parameter_repeated')
    raw.set(name, token)
  }
  const asCame = (names: readonly string[]) => names.flatMap((name) => raw.get(name) ?? []).join('&')
  const parameters = Object.fromEntries(new URLSearchParams(asCame(NAMES)))
  if ((parameters.SAMLEncoding ?? DEFLATE) !== DEFLATE) throw samlRefusal('encoding_unknown')
  const message = received('redirect', parameters, asCame(SIGNED))
  // Without the first, node-saml asks for no signature.
  if (!parameters.Signature || !parameters.SigAlg) throw samlRefusal('signature_missing')
  const { signedOctets } = message
  // `encodeURIComponent`, and with it many who sign, leaves the apostrophe as it is; each browser that is redirected,
  // and each Web `Request`, writes `%27` in its place (URL Standard, special-query percent-encode set), and whoever puts
  // a parsed query together again with `node:querystring` takes it back. Decoded both are the same, so nobody says more
  // by the one than by the other.
  const spellings = [signedOctets.replaceAll('%27', "'"), signedOctets.replaceAll("'", '%27')]
  return { ...message, otherOctets: spellings.filter((octets) => octets !== signedOctets) }
}

/** One of both kinds, and a RelayState that can be carried. */
export function received(
  binding: ReceivedMessage['binding'],
  parameters: Readonly<Record<string, string>>,
  signedOctets: string,
): ReceivedMessage {
  const { SAMLRequest, SAMLResponse, RelayState } = parameters
  if (Boolean(SAMLRequest) === Boolean(SAMLResponse)) throw samlRefusal('message_missing')
  if (RelayState !== undefined && Buffer.byteLength(RelayState) > LONGEST_RELAY_STATE) {
    throw samlRefusal('relay_state_too_long')
  }
  const kind = SAMLRequest ? 'SAMLRequest' : 'SAMLResponse'
  return { binding, kind, parameters, signedOctets, relayState: RelayState }
}

function queryOf(url: string): string {
  const [beforeFragment = ''] = url.split('#', 1)
  const start = beforeFragment.indexOf('?')
  return start < 0 ? '' : beforeFragment.slice(start + 1)
}
