// `doctor`: is everything in place for a logout? Looks at the provider, at the application's receiver and at its store,
// in this order, and changes nothing anywhere.
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkPostgres } from '../stores/postgres/index.js'
import { checkRedis } from '../stores/redis/index.js'
import { deliver } from '../testing/delivery.js'
import { explainRefusal } from '../testing/receiver-answer.js'
import { examineBounds } from './doctor-bounds.js'
import { examineProvider } from './doctor-provider.js'
import { conclude, type ExitCode, type Finding, progress, shown, type Terminal, UsageError } from './report.js'

export interface DoctorQuestions {
  readonly issuer: string
  readonly presetName: string | undefined
  /** The application's `backchannel_logout_uri`. */
  readonly uri: string | undefined
  readonly store: string | undefined
  /** A file that exports the application's `logout`. */
  readonly app?: string | undefined
  readonly json: boolean
}

export async function doctor(questions: DoctorQuestions, terminal: Terminal): Promise<ExitCode> {
  const { issuer, uri } = questions
  if (!URL.canParse(issuer)) throw new UsageError('doctor: the issuer is no URL')
  if (uri !== undefined && !URL.canParse(uri)) throw new UsageError('--uri is no URL')
  progress(terminal, 'asking the provider for its metadata and keys')
  const findings = [...(await examineProvider(questions))]
  if (uri !== undefined) {
    progress(terminal, 'sending the receiver a token that is none')
    findings.push(...(await examineReceiver(uri)))
  }
  if (questions.store !== undefined) {
    progress(terminal, 'asking the store about itself')
    findings.push(...(await examineStore(questions.store, terminal.env)))
  }
  if (questions.app !== undefined) findings.push(...(await examineBounds(questions.app)))
  else
    findings.push({
      level: 'note',
      about: 'bound',
      words:
        'a user whose logout the provider sends is out from the next request on (with boundedReads: after its seconds at most); one whose logout it does not send, such as idle expiry, stays until your own maximum session age (--app computes both from your configuration)',
    })
  return conclude(findings, terminal, questions)
}

async function examineReceiver(uri: string): Promise<readonly Finding[]> {
  const explanation = explainRefusal(await deliver(uri, 'not.a.token'))
  if (explanation !== undefined) {
    const { problem, remedy, page } = explanation
    return [{ level: 'problem', about: 'receiver', words: problem, remedy: `${remedy} (${page})` }]
  }
  const words = 'a token that is none is refused as it should be: 400, JSON, no-store, no cookie'
  return [{ level: 'ok', about: 'receiver', words }]
}

async function examineStore(store: string, env: Terminal['env']): Promise<readonly Finding[]> {
  if (store !== 'redis' && store !== 'postgres') throw new UsageError('--store is redis or postgres')
  const variable = store === 'redis' ? 'REDIS_URL' : 'DATABASE_URL'
  const url = env[variable]
  if (url === undefined) throw new UsageError(`--store ${store} needs the environment variable ${variable}`)
  try {
    const warnings = store === 'redis' ? await warningsOfRedis(url) : await warningsOfPostgres(url)
    if (warnings.length === 0)
      return [{ level: 'ok', about: 'store', words: `${store} loses no logout by its configuration` }]
    return warnings.map((words) => ({ level: 'problem', about: 'store', words: shown(words, 600) }))
  } catch (error) {
    // A driver's message may hold the address with its password.
    const code = shown(String(Object(error).code ?? Object(error).name ?? 'unknown reason'), 40)
    const remedy = `Does ${variable} point to it, and is it reachable from this machine?`
    return [{ level: 'problem', about: 'store', words: `${store} could not be asked (${code})`, remedy }]
  }
}

async function warningsOfRedis(url: string): Promise<readonly string[]> {
  const { createClient } = await driver('redis')
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 5000 } })
  client.on('error', () => {})
  await client.connect()
  try {
    return await checkRedis(client)
  } finally {
    client.destroy()
  }
}

async function warningsOfPostgres(connectionString: string): Promise<readonly string[]> {
  const pg = await driver('pg')
  const { Pool } = pg.default ?? pg
  const pool = new Pool({ connectionString, connectionTimeoutMillis: 5000 })
  pool.on('error', () => {})
  try {
    return await checkPostgres(pool)
  } finally {
    await pool.end()
  }
}

/** The application's own driver, found from where the command is run. */
// biome-ignore lint/suspicious/noExplicitAny: this package depends on no driver, and so not on its types.
async function driver(name: 'redis' | 'pg'): Promise<any> {
  try {
    const entry = createRequire(path.join(process.cwd(), 'package.json')).resolve(name)
    return await import(pathToFileURL(entry).href)
  } catch {
    throw new UsageError(`--store needs the package ${name}, and it is not installed where this command is run`)
  }
}
