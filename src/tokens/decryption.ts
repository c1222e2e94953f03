// Opening encrypted tokens (RFC 7516): by whose keys, and what was inside. What was inside is not believed for that.
import type { Decryption } from '../providers/decryption-option.js'
import type { Provider } from '../providers/provider.js'
import { type EncryptionHeader, MAX_PBES2_ITERATIONS } from './compact-token.js'
import { refusal } from './token-refusal.js'

/** A provider whose tokens are encrypted for us. */
export interface Decrypting extends Provider {
  readonly decryption: Decryption
}

/** Decryptions tried for one token: each may be a private key operation. */
const MAX_DECRYPTIONS = 8

/** Those of the candidates that have keys, and are configured for these algorithms. Throws `ERR_TOKEN` if none is. */
export function ableToDecrypt(candidates: readonly Provider[], { alg, enc }: EncryptionHeader): readonly Decrypting[] {
  const decrypting = candidates.filter(canDecrypt)
  if (decrypting.length === 0) throw refusal('encryption_not_configured', { option: 'decryption' })
  const matching = decrypting.filter(
    ({ decryption }) =>
      decryption.keyManagementAlgorithms.includes(alg) && decryption.contentEncryptionAlgorithms.includes(enc),
  )
  if (matching.length === 0) throw refusal('encryption_alg_not_allowed', { claim: 'alg', option: 'decryption' })
  return matching
}

/** Tries the keys with the header's `kid`; if none has it, all that fit the algorithm. Rejects with `ERR_TOKEN`. */
export async function decryptByAny(
  token: string,
  providers: readonly Decrypting[],
  choice: EncryptionHeader,
): Promise<{ readonly content: string; readonly by: Decrypting }> {
  const fitting = providers.flatMap((by) => by.decryption.keys.keysFor(choice).map((key) => ({ by, key })))
  const named = fitting.filter(({ key }) => choice.kid !== undefined && key.kid === choice.kid)
  // Loaded by whoever has a provider that encrypts.
  const { compactDecrypt } = await import('jose/jwe/compact/decrypt')
  let cause: unknown
  for (const { by, key } of (named.length > 0 ? named : fitting).slice(0, MAX_DECRYPTIONS)) {
    try {
      const { plaintext } = await compactDecrypt(token, key, {
        keyManagementAlgorithms: [choice.alg],
        contentEncryptionAlgorithms: [choice.enc],
        maxPBES2Count: MAX_PBES2_ITERATIONS,
        maxDecompressedLength: 0,
      })
      return { content: Buffer.from(plaintext).toString('latin1'), by }
    } catch (error) {
      cause = error
    }
  }
  throw refusal('decryption_failed', { cause })
}

function canDecrypt(provider: Provider): provider is Decrypting {
  return provider.decryption !== undefined
}
