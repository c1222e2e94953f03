// `npm start`: runs the demo until it is stopped. PORT is the first of five ports, or of six where REDIS_URL or
// DATABASE_URL gives the Shop two nodes; without it any free ones are taken.
import { startDemo } from './demo.js'
import { untilStopped } from './until-stopped.js'

async function main(): Promise<void> {
  const stopped = untilStopped()
  const demo = await startDemo({ port: Number(process.env.PORT ?? 0), settings: process.env, report: console.warn })
  const row = (name: string, url: string) => `  ${name.padEnd(16)} ${url}`
  console.log(
    [
      'ready: open the overview in a browser',
      row('overview', demo.issuer),
      row('OpenID Provider', demo.issuer),
      ...demo.places.map(({ name, url }) => row(name, url)),
      'Ctrl-C stops everything',
    ].join('\n'),
  )
  await stopped
  await demo.close()
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
