// Whether one of a provider's keys made this signature (RFC 7515 5.2). Knows no claim.
import { JWSSignatureVerificationFailed } from 'jose/errors'
import { compactVerify } from 'jose/jws/compact/verify'
import type { GiveUp } from '../deadline.js'
import { isHmac, type KeyLookup, type SigningKeys, type VerificationKey } from '../providers/signing-keys.js'
import type { SignedToken } from './compact-token.js'
import { refusal } from './token-refusal.js'

/**
 * Resolves if so; rejects with `ERR_TOKEN`, or with `ERR_KEYS_UNAVAILABLE` where the keys cannot be had now. `asOf`:
 * the moment in the life of the keys when the token came; one that no key verifies is refused only by keys that were
 * fetched after it.
 */
export async function verifySignature(
  signed: SignedToken,
  keys: SigningKeys,
  asOf: number,
  giveUp: GiveUp | undefined,
): Promise<void> {
  let lookup: KeyLookup | undefined = await keys.keyFor(signed, asOf, giveUp)
  while (lookup !== undefined) {
    const newer: (() => Promise<KeyLookup>) | undefined = lookup.found === 'key' ? lookup.newer : undefined
    try {
      await verifiedBy(keyIn(lookup), signed, keys)
      return
    } catch (failure) {
      if (newer === undefined) throw failure
      lookup = await newer()
      // The key is gone from the newer set: what is wrong with the token is still what the old one said.
      if (lookup.found === 'none') throw failure
    }
  }
}

function keyIn(lookup: KeyLookup): VerificationKey {
  switch (lookup.found) {
    case 'key':
      return lookup.key
    case 'none':
      throw refusal('key_unknown', { claim: 'kid' })
    case 'ambiguous':
      throw refusal(lookup.named ? 'kid_ambiguous' : 'kid_missing_ambiguous', { claim: 'kid', cause: lookup.cause })
    case 'unusable':
      throw refusal('key_unusable', { claim: 'kid', cause: lookup.cause })
    case 'not now':
      throw lookup.error
  }
}

async function verifiedBy(
  key: VerificationKey,
  { token, alg, payload }: SignedToken,
  keys: SigningKeys,
): Promise<void> {
  const verified = await compactVerify(token, key, { algorithms: [alg] }).catch((cause: unknown) => {
    const isForged = cause instanceof JWSSignatureVerificationFailed
    if (!isForged) throw refusal('key_unusable', { cause })
    throw refusal('signature_invalid', { remedy: remedyFor(alg, keys), cause })
  })
  // The claims were read before they were verified: they are believed if what was verified is byte for byte what was
  // read.
  if (Buffer.compare(verified.payload, payload) !== 0) throw refusal('payload_invalid')
}

/**
 * Most often it is forged, and nothing of ours is to blame; but what was configured by hand may be wrong, or old by
 * now.
 */
function remedyFor(alg: string, keys: SigningKeys): string | undefined {
  if (isHmac(alg))
    return 'If the provider did send it: compare the provider option clientSecret with the registered secret'
  if (!keys.areGiven) return undefined
  return 'If the provider did send it: the provider option jwks does not hold its keys; leave it out, so that they are fetched'
}
