// `npm run rp`: one node of an RP against any OpenID Provider, configured by the environment alone. With REDIS_URL or
// DATABASE_URL it may be one of several.
import type { LogoutEvent } from 'oidc-backchannel-logout'
import { listen } from './listen.js'
import { providerSettings } from './provider-settings.js'
import { createRp, type RpConfig } from './relying-party.js'
import { openStores } from './stores.js'
import { untilStopped } from './until-stopped.js'

const { env } = process

function required(name: string): string {
  const value = env[name]
  if (value) return value
  throw new TypeError(
    `${name} is missing; needed are ISSUER, CLIENT_ID, CLIENT_SECRET and SESSION_SECRET, and PORT if 3000 is taken`,
  )
}

function portOf(value: string): number {
  const port = Number(value)
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port
  throw new TypeError('PORT must be a number from 0 to 65535; 0 takes any free port')
}

/**
 * What an operator should know: which rule refused a Logout Token, and which option would accept it. Events hold no
 * secrets.
 */
function reportTrouble(event: LogoutEvent): void {
  if (!('error' in event)) return
  const { code, reason, option, message } = event.error
  const details = [code, reason, option && `option ${option}`].filter((detail) => detail !== undefined)
  console.error(`${event.type}: ${message} (${details.join(', ')})`)
}

/** With what the OP answered: its OAuth error code, or its HTTP status, e.g. 401 for a wrong CLIENT_SECRET. */
function reportSignInError(cause: unknown): void {
  const { message, error, status } = Object(cause)
  console.error(`sign-in failed: ${message} (${error ?? status ?? 'no answer'})`)
}

async function main(): Promise<void> {
  const settings = {
    issuer: required('ISSUER'),
    clientId: required('CLIENT_ID'),
    clientSecret: required('CLIENT_SECRET'),
    sessionSecret: required('SESSION_SECRET'),
    provider: providerSettings(env),
  }
  const stopped = untilStopped()
  const { sessionStore, logoutStore, close } = await openStores(env, console.warn)
  try {
    await serve({ ...settings, sessionStore, logoutStore }, stopped)
  } finally {
    await close()
  }
}

async function serve(settings: Omit<RpConfig, 'baseUrl'>, stopped: Promise<void>): Promise<void> {
  const listening = await listen(portOf(env.PORT ?? '3000'))
  try {
    const rp = createRp({
      ...settings,
      baseUrl: listening.url,
      onEvent: reportTrouble,
      onSignInError: reportSignInError,
      onError: (error) => console.error(`request failed: ${Object(error).message}`),
    })
    listening.server.on('request', rp.app)
    console.log(`listening on ${listening.url}`)
    await stopped
    rp.close()
  } finally {
    await listening.close()
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
