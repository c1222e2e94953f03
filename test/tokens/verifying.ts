// The one set-up of the token tests: a mint, a directory with its static keys, and what came of a token.
import { setMaxListeners } from 'node:events'
import { expect } from 'vitest'
import { LogoutError } from '../../src/errors.js'
import { type ProviderDirectory, type ProviderSource, providerDirectory } from '../../src/providers/directory.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import type { MintAlgorithm } from '../../src/testing/mint-keys.js'
import { createTokenMint, type TokenMint, type TokenMintOptions } from '../../src/testing/token-mint.js'
import { type LogoutToken, verifyLogoutToken } from '../../src/tokens/logout-token.js'

export const NOW = 1_760_000_000
export const ISSUER = 'https://op.example.com'
export const CLIENT_ID = 'rp-client-1'

/** Never aborts; shared by many, unlike the signal of a request. */
export const UNHURRIED = new AbortController().signal
setMaxListeners(0, UNHURRIED)

export function mintOf(
  options: Partial<TokenMintOptions> & { readonly algorithm?: MintAlgorithm } = {},
): Promise<TokenMint> {
  return createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, now: () => NOW, ...options })
}

/** A provider of the mint's issuer and client with its keys given, so that nothing is fetched. */
export function providerOf(mint: TokenMint, options: Partial<ProviderOptions> = {}): ProviderOptions {
  return { issuer: mint.issuer, clientId: mint.clientId, jwks: mint.jwks, ...options }
}

export function directoryOf(source: ProviderSource): ProviderDirectory {
  return providerDirectory(source, { clock: () => NOW })
}

/** For the first of our clients that it is for. */
export async function verify(token: string, source: ProviderSource, now = NOW): Promise<LogoutToken> {
  const [first] = await verifyLogoutToken(token, { directory: directoryOf(source), now })
  return first
}

/**
 * The error with which a verification was refused; fails if it was not, or by anything else than this package's own
 * error.
 */
export async function refusalOf(attempt: Promise<unknown>): Promise<LogoutError> {
  try {
    await attempt
  } catch (error) {
    if (error instanceof LogoutError) return error
    throw error
  }
  return expect.fail('the token was believed')
}

/** By which rule, for comparison in one line. */
export async function ruleOf(attempt: Promise<unknown>): Promise<Record<string, string | undefined>> {
  const { code, reason, claim, option } = await refusalOf(attempt)
  return { code, reason, claim, option }
}
