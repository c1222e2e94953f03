// The ladder from a raw string to a believed token: header -> issuer -> [decrypt] -> type -> claims -> key ->
// signature. What a kind of token must say is the rule set's, which is an argument. Knows no HTTP and no sessions;
// nothing is acted on here.
import type { GiveUp } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { type JsonObject, own } from '../json-object.js'
import type { ProviderDirectory } from '../providers/directory.js'
import { KeysUnavailableError } from '../providers/keys-unavailable.js'
import { isOidc } from '../providers/known-target.js'
import type { Provider } from '../providers/provider.js'
import { algorithmsRemedy, clientIdRemedy, issuerRemedy } from '../providers/remedies.js'
import { isHmac, type SigningKeys } from '../providers/signing-keys.js'
import {
  audiencesOf,
  type EncryptionHeader,
  readEncryptionHeader,
  readNested,
  readSigned,
  type SignedToken,
  segmentsOf,
} from './compact-token.js'
import { ableToDecrypt, decryptByAny } from './decryption.js'
import { KeysAwaitedError } from './keys-awaited.js'
import { verifySignature } from './signature.js'
import { refusal } from './token-refusal.js'

/** What makes a token one of a kind. */
export interface TokenRules<T> {
  /** The header's `typ` (RFC 8725 3.11). Throws `ERR_TOKEN` if it is of another kind. */
  readonly checkType: (header: JsonObject, provider: Provider) => void
  /** Every rule for the claims, and what they say. Throws `ERR_TOKEN` with the first rule that fails. */
  readonly checkClaims: (claims: JsonObject, provider: Provider, about: ClaimsContext) => T
}

/** What of a token beside its claims a rule may ask for. */
export interface ClaimsContext {
  /** Epoch seconds. */
  readonly now: number
  /** The token is keyed by the client secret, which other audiences may know. */
  readonly singleAudience: boolean
  /** All client ids that are ours at this issuer. */
  readonly ownClientIds: readonly string[]
}

/** Against what a token is verified. */
export interface Verification {
  readonly directory: ProviderDirectory
  /** Epoch seconds. */
  readonly now: number
  /** Ends the wait for keys before their fetch, which others may wait for too, ends by itself. */
  readonly giveUp?: GiveUp | undefined
  /** For a token that was kept: the moment in the life of these keys when it came. Default: now. */
  readonly cameAsOf?: ((keys: SigningKeys) => number | undefined) | undefined
}

/** A token that is this provider's, for this client, and says so much. */
export interface BelievedToken<T> {
  /** `provider.client` is the scope of everything that follows. */
  readonly provider: Provider
  /** All claims, as signed. */
  readonly claims: JsonObject
  readonly says: T
}

/** One for each of our clients that the token is for: several, where it names several. */
export type BelievedTokens<T> = readonly [BelievedToken<T>, ...BelievedToken<T>[]]

/**
 * Believes a token or says why not. Rejects with a `LogoutError` only: `ERR_TOKEN` with a `TokenRefusal` as `reason`,
 * or `ERR_KEYS_UNAVAILABLE`, which says nothing about the token.
 */
export async function verifyToken<T>(
  token: string,
  rules: TokenRules<T>,
  about: Verification,
): Promise<BelievedTokens<T>> {
  try {
    const segments = segmentsOf(token)
    return await (segments.length === 3
      ? verifySigned(readSigned(token, segments), rules, about)
      : verifyEncrypted(token, readEncryptionHeader(segments), rules, about))
  } catch (error) {
    if (error instanceof LogoutError) throw error
    throw refusal('unverifiable', { cause: error })
  }
}

async function verifySigned<T>(
  signed: SignedToken,
  rules: TokenRules<T>,
  about: Verification,
): Promise<BelievedTokens<T>> {
  const providers = await trusted(signed.claimedIssuer, about)
  return allThatBelieve(addressed(providers, signed), (provider) => {
    if (provider.decryption !== undefined && !provider.decryption.allowPlainJws) {
      throw refusal('encryption_required', { option: 'decryption.allowPlainJws' })
    }
    return believe(signed, provider, providers, rules, about)
  })
}

/** RFC 7516 and, for the content, BCL 2.4: signed, then encrypted. */
async function verifyEncrypted<T>(
  token: string,
  encryption: EncryptionHeader,
  rules: TokenRules<T>,
  about: Verification,
): Promise<BelievedTokens<T>> {
  const providers = ableToDecrypt(await claimedBy(encryption, about), encryption)
  const opened = await decryptByAny(token, providers, encryption)
  const signed = readNested(opened.content)
  const { header } = encryption
  if (Object.hasOwn(header, 'iss') && own(header, 'iss') !== signed.claimedIssuer) {
    throw refusal('nested_iss_mismatch', { claim: 'iss' })
  }
  const issuers = providers.filter(({ client }) => client.issuer === signed.claimedIssuer)
  if (issuers.length === 0) throw unknownIssuer(signed.claimedIssuer, about)
  return allThatBelieve(addressed(issuers, signed), async (provider) => {
    // Another provider's key may have opened it: what was encrypted for that one is not encrypted for this one.
    if (provider !== opened.by) await decryptByAny(token, [provider], encryption)
    return believe(signed, provider, issuers, rules, about)
  })
}

/**
 * From here on everything is one provider's. The claims are judged before the key is looked for, so that a token which
 * is not to be taken anyhow is no reason to call the OP; they are believed only once the signature has been verified
 * over the same bytes.
 */
async function believe<T>(
  signed: SignedToken,
  provider: Provider,
  siblings: readonly Provider[],
  rules: TokenRules<T>,
  { now, giveUp, cameAsOf }: Verification,
): Promise<BelievedToken<T>> {
  const { header, alg, claims } = signed
  if (!provider.algorithms.includes(alg)) {
    throw refusal('alg_not_allowed', {
      claim: 'alg',
      option: 'algorithms',
      remedy: algorithmsRemedy(provider.algorithms),
    })
  }
  rules.checkType(header, provider)
  const ownClientIds = siblings.map(({ client }) => client.clientId)
  const says = rules.checkClaims(claims, provider, { now, singleAudience: isHmac(alg), ownClientIds })
  const asOf = cameAsOf?.(provider.keys) ?? provider.keys.asOf
  await verifySignature(signed, provider.keys, asOf, giveUp).catch((error: unknown) => {
    if (!(error instanceof KeysUnavailableError)) throw error
    throw new KeysAwaitedError(error, { provider, kid: signed.kid, asOf })
  })
  return Object.freeze({ provider, claims: Object.freeze(claims), says })
}

async function trusted(issuer: string, { directory, giveUp }: Verification): Promise<readonly Provider[]> {
  const providers = (await directory.forIssuer(issuer, giveUp)).filter(isOidc)
  if (providers.length === 0) throw unknownIssuer(issuer, { directory })
  return providers
}

/** By the header's `iss` if it has one (RFC 7519 5.3), else all that are configured: the content says whose it is. */
async function claimedBy({ header }: EncryptionHeader, about: Verification): Promise<readonly Provider[]> {
  const issuer = own(header, 'iss')
  if (issuer !== undefined && typeof issuer !== 'string') throw refusal('iss_unknown', { claim: 'iss' })
  const candidates = issuer === undefined ? about.directory.configured() : await trusted(issuer, about)
  // Only a function knows our providers, and it is asked by issuer.
  if (candidates.length === 0) throw refusal('iss_missing', { claim: 'iss' })
  return candidates
}

function unknownIssuer(issuer: string, { directory }: Pick<Verification, 'directory'>): LogoutError {
  const clients = directory.configured().map(({ client }) => client)
  return refusal('iss_unknown', { claim: 'iss', remedy: issuerRemedy(issuer, clients) })
}

/**
 * Several clients at one issuer may share one URI: the unverified audience chooses, and is checked again with the
 * claims.
 */
function addressed<P extends Provider>(providers: readonly P[], { claims }: SignedToken): readonly P[] {
  if (providers.length === 1) return providers
  const audiences = audiencesOf(claims) ?? []
  const found = providers.filter(({ client }) => audiences.includes(client.clientId))
  if (found.length === 0) {
    throw refusal('aud_mismatch', { claim: 'aud', remedy: clientIdRemedy(providers.map(({ client }) => client)) })
  }
  return found
}

/** If nobody does, that somebody could not tell weighs more than that somebody else refused. */
async function allThatBelieve<P extends Provider, T>(
  providers: readonly P[],
  attempt: (provider: P) => Promise<BelievedToken<T>>,
): Promise<BelievedTokens<T>> {
  const believed: BelievedToken<T>[] = []
  const failures: unknown[] = []
  for (const provider of providers) {
    try {
      believed.push(await attempt(provider))
    } catch (error) {
      failures.push(error)
    }
  }
  const [first, ...others] = believed
  if (first !== undefined) return [first, ...others]
  throw failures.find((error) => error instanceof KeysUnavailableError) ?? failures[0]
}
