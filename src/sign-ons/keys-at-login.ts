// A login comes before every logout: now the OP can be asked for its keys, while it waits for our answer perhaps not.
// Nobody waits for it.
import type { LogoutError } from '../errors.js'
import type { ProviderDirectory } from '../providers/directory.js'
import { type Login, sidExpected } from './login.js'

/** For each login, once it is known whose it is. `onWarning` also hears of logins that Logout Tokens will not find. */
export function keysAtLogin(
  directory: Pick<ProviderDirectory, 'freshen'>,
  onWarning: (error: LogoutError) => void,
): (login: Pick<Login, 'client' | 'sid'>) => void {
  /** Once for each provider, not for each login. */
  const warnedOfSid = new WeakSet<object>()
  return ({ client, sid }) => {
    directory.freshen(client).then((provider) => {
      if (provider === undefined || sid !== undefined || warnedOfSid.has(provider.keys.origin)) return
      if (!provider.keys.saysSids()) return
      warnedOfSid.add(provider.keys.origin)
      onWarning(sidExpected())
    }, onWarning)
  }
}
