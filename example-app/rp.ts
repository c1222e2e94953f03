// `npm run rp`: one RP against any OpenID Provider, configured by the environment alone.
import { listen } from './listen.js'
import { createRp } from './relying-party.js'
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

async function main(): Promise<void> {
  const settings = {
    issuer: required('ISSUER'),
    clientId: required('CLIENT_ID'),
    clientSecret: required('CLIENT_SECRET'),
    sessionSecret: required('SESSION_SECRET'),
  }
  const listening = await listen(portOf(env.PORT ?? '3000'))
  try {
    const rp = createRp({ ...settings, baseUrl: listening.url })
    listening.server.on('request', rp.app)
    console.log(`listening on ${listening.url}`)
    await untilStopped()
    rp.close()
  } finally {
    await listening.close()
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
