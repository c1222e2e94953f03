// The keys of the sign-ons that were met lately: each is a hash, and a sign-on comes back with every request of its
// user.
import { LRUCache } from 'lru-cache'
import { sidKey, subKey } from '../marks/target.js'

/** Whose sign-on it is, by what a logout names. */
export interface NamedSignOn {
  /** Issuer of the ID Tokens and Logout Tokens of that sign-on. */
  readonly issuer: string
  /** `client_id` of the Relying Party that the token was issued to: Logout Tokens are addressed to it. */
  readonly clientId?: string | undefined
  readonly sub?: string | undefined
  readonly sid?: string | undefined
}

/** The keys under which marks of a sign-on are found; none where its client is not known. */
export interface SignOnKeys {
  readonly subKey: string | undefined
  readonly sidKey: string | undefined
}

const NO_KEYS: SignOnKeys = { subKey: undefined, sidKey: undefined }
const MOST_REMEMBERED = 10_000

export function keysOf({ issuer, clientId, sub, sid }: NamedSignOn): SignOnKeys {
  if (clientId === undefined) return NO_KEYS
  const client = { issuer, clientId }
  return {
    subKey: sub === undefined ? undefined : subKey(client, sub),
    sidKey: sid === undefined ? undefined : sidKey(client, sid),
  }
}

type Remembered = SignOnKeys & NamedSignOn

/** `keysOf`, which computes those of one sign-on once for as long as it is met often. */
export function rememberedKeysOf(): typeof keysOf {
  const remembered = new LRUCache<string, Remembered>({ max: MOST_REMEMBERED })
  return (signOn) => {
    const { issuer, clientId, sub, sid } = signOn
    const name = sid ?? sub
    if (name === undefined) return keysOf(signOn)
    const known = remembered.get(name)
    if (known?.sid === sid && known?.sub === sub && known?.clientId === clientId && known?.issuer === issuer)
      return known
    const keys = { ...keysOf(signOn), issuer, clientId, sub, sid }
    remembered.set(name, keys)
    return keys
  }
}
