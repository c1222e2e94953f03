// Asks an application how long somebody who is dead at the OP may stay in it, by its own `logout.bounds()`.
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { isJsonObject, type JsonObject, own } from '../json-object.js'
import { type Finding, shown, UsageError } from './report.js'

/** `module`: a file that exports `logout`, as `createBackchannelLogout` made it. It is run. */
export async function examineBounds(module: string): Promise<readonly Finding[]> {
  const exported: unknown = await import(pathToFileURL(path.resolve(module)).href).catch((error: unknown) => {
    throw new UsageError(`--app: ${shown(module)} could not be loaded (${shown(String(error), 200)})`)
  })
  const logout: unknown = Reflect.get(Object(exported), 'logout')
  const bounds: unknown = Reflect.get(Object(logout), 'bounds')
  if (typeof bounds !== 'function') {
    throw new UsageError(
      `--app: ${shown(module)} exports no logout that has bounds(): export const logout = createBackchannelLogout(…)`,
    )
  }
  return findingsOf(bounds.call(logout))
}

function findingsOf(bounds: unknown): readonly Finding[] {
  const given: JsonObject = isJsonObject(bounds) ? bounds : {}
  const after = Number(own(given, 'afterLogoutSeconds'))
  const providers = own(given, 'providers')
  return [
    {
      level: 'ok',
      about: 'bound',
      words: `after a logout that arrived: nobody is in ${after === 0 ? 'from the next request on' : `after ${lasting(after)}`}, on any node`,
    },
    ...(Array.isArray(providers) ? providers : []).flatMap((each: unknown) =>
      isJsonObject(each) ? [findingOf(each)] : [],
    ),
  ]
}

function findingOf(provider: JsonObject): Finding {
  const seconds = own(provider, 'withoutLogoutTokenSeconds')
  const unused = own(provider, 'unusedSeconds')
  const of = `${shown(String(own(provider, 'issuer')))}, where no Logout Token comes`
  const idle = typeof unused === 'number' ? `, unused ${lasting(unused)}` : ''
  if (typeof seconds === 'number') {
    const words = `${of}: a user stays ${lasting(seconds)} at most${idle} (${String(own(provider, 'setBy'))})`
    return { level: 'ok', about: 'bound', words }
  }
  return {
    level: 'warning',
    about: 'bound',
    words: `${of}: a user stays for as long as the session is used${idle}`,
    remedy: 'Set sessionMaxAgeSeconds for this provider, unless each of its ID Tokens has a session_expiry.',
  }
}

function lasting(seconds: number): string {
  if (seconds >= 2 * 86_400) return `${Math.round(seconds / 8640) / 10} days`
  if (seconds >= 2 * 3600) return `${Math.round(seconds / 360) / 10} hours`
  return seconds >= 120 ? `${Math.round(seconds / 6) / 10} minutes` : `${seconds} seconds`
}
