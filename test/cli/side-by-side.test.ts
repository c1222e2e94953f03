// docs/side-by-side.md says of three receivers what `send --all` says of them, running.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import express, { type Express } from 'express'
import { auth, type ConfigParams } from 'express-openid-connect'
import session from 'express-session'
import { afterEach, describe, expect, it } from 'vitest'
import { listen } from '../../example-app/listen.js'
import { createNaiveRp } from '../../example-app/naive-receiver.js'
import { createRp } from '../../example-app/relying-party.js'
import { DEFECTS } from '../../src/testing/index.js'
import { run } from './run.js'

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

interface Settings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly sessionSecret: string
  readonly baseUrl: string
}

const RECEIVERS: Readonly<Record<string, (settings: Settings) => Express>> = {
  'this package': (settings) => {
    const rp = createRp({ ...settings, onEvent: () => {} })
    toClose.push(rp.close)
    return rp.app
  },
  'by hand': (settings) => {
    const shown = { name: 'Notes', overviewUrl: settings.baseUrl, routes: () => {}, onRefused: () => {} }
    return createNaiveRp({ ...settings, ...shown, sessionStore: new session.MemoryStore() })
  },
  'express-openid-connect': ({ issuer, clientId, clientSecret, baseUrl }) => {
    const app = express()
    // The types want a store of events beside get, set and destroy; express-session's own has them.
    const store = new session.MemoryStore() as unknown as NonNullable<
      Exclude<ConfigParams['backchannelLogout'], boolean | undefined>['store']
    >
    const secret = randomBytes(32).toString('base64url')
    const about = { issuerBaseURL: issuer, baseURL: baseUrl, clientID: clientId, authRequired: false, secret }
    const authorizationParams = { response_type: 'code' as const, scope: 'openid' }
    app.use(auth({ ...about, clientSecret, authorizationParams, backchannelLogout: { store } }))
    return app
  },
}

/** What `send --all` names as broken, in its order. */
async function brokenBy(name: string): Promise<string[]> {
  const atOp = await listen(0)
  await atOp.close()
  const { url, server, close } = await listen(0)
  toClose.push(close)
  const secrets = { clientSecret: 'a secret', sessionSecret: 'another secret' }
  const app = RECEIVERS[name]?.({ ...secrets, issuer: atOp.url, clientId: 'my-rp', baseUrl: url })
  if (app) server.on('request', app)
  const receiver = `${url}/backchannel-logout`
  const { out } = await run(['send', receiver, '--sub', 'ada', '--port', new URL(atOp.url).port, '--all', '--json'])
  const findings: { level: string; about: string }[] = JSON.parse(out).findings
  expect(findings).toHaveLength(DEFECTS.length + 2)
  return findings.flatMap(({ level, about }) => (level === 'ok' ? [] : [about]))
}

/** The page's table: names of the tokens, by the receivers that take them. */
function table() {
  const page = readFileSync(new URL('../../docs/side-by-side.md', import.meta.url), 'utf8')
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
  const [, , ...columns] = rows[0] ?? []
  return Object.fromEntries(
    Object.keys(RECEIVERS).map((name) => {
      const column = columns.indexOf(name) + 2
      const broken = rows.slice(1).flatMap((cells) => (cells[column] === 'breaks it' ? namesIn(cells[1]) : []))
      return [name, broken]
    }),
  )
}

const namesIn = (cell = '') => [...cell.matchAll(/`([\w ,-]+)`/g)].map(([, name = '']) => name)

describe('docs/side-by-side.md', () => {
  it.each(Object.keys(RECEIVERS))('says which rules are broken by %s', async (name) => {
    const broken = await brokenBy(name)
    expect(table()[name]?.sort()).toEqual([...broken].sort())
  })
})
