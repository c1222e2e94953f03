// What to do where a token names an issuer or a client that is not configured, in words of the configuration alone.
// Nothing that a token says is repeated, since nobody has verified it.
import type { Client } from '../marks/target.js'
import { issuerDifference } from '../mistakes/issuer-difference.js'

/** An issuer identifier is a URL; what is longer is not compared. */
const MAX_ISSUER_LENGTH = 2048
/** Anybody can send an unknown issuer: the work for one is bounded. */
const MAX_COMPARED = 100
const MAX_NAMED = 3

const LETTER_BY_LETTER = 'give the provider option issuer as the metadata of the provider have it, letter by letter'

/** For an issuer that is not among the `configured`; none are where a function decides. */
export function issuerRemedy(issuer: string, configured: readonly Client[]): string | undefined {
  if (configured.length === 0) {
    return 'The function given as option provider knows no such issuer: it must know each, letter by letter'
  }
  const issuers = [...new Set(configured.map((client) => client.issuer))]
  if (issuers.includes(issuer)) return undefined
  for (const alike of issuer.length > MAX_ISSUER_LENGTH ? [] : issuers.slice(0, MAX_COMPARED)) {
    const difference = issuerDifference(issuer, alike)
    if (difference !== undefined) {
      return `The configured issuer ${alike} differs by ${difference}: ${LETTER_BY_LETTER}`
    }
  }
  const [only, another] = issuers
  return another === undefined
    ? `The configured issuer ${only} is another one: ${LETTER_BY_LETTER}`
    : `None of the ${issuers.length} configured issuers is like it: ${LETTER_BY_LETTER}`
}

/** For an audience without any of the client ids that are `configured` for its issuer. */
export function clientIdRemedy(configured: readonly Client[]): string {
  const ids = configured.slice(0, MAX_NAMED).map(({ clientId }) => clientId)
  const named = configured.length > ids.length ? `${ids.join(', ')}, …` : ids.join(', ')
  return `Compare the provider option clientId (${named}) with the client_id that is registered at the provider`
}

/** For a token that is signed with another algorithm than those that are configured. */
export function algorithmsRemedy(configured: readonly string[]): string {
  return `Set the provider option algorithms (${configured.join(', ')}) to what is registered as id_token_signed_response_alg`
}
