// A real PostgreSQL, which refuses to run as root: started then as the user `postgres`.
import { execFileSync, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { chownSync, existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { removeFolder } from './folders.js'
import { dataDirectory, freePort, installed, onPath, startProcess } from './processes.js'

const folders = existsSync('/usr/lib/postgresql')
  ? readdirSync('/usr/lib/postgresql')
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => `/usr/lib/postgresql/${version}/bin`)
  : []

export const postgresServer = installed(...folders.map((folder) => join(folder, 'postgres')), ...onPath('postgres'))

export interface RunningPostgres {
  readonly port: number
  readonly url: string
  /** A crash: SIGQUIT makes the server end at once, without a checkpoint. */
  kill(): Promise<void>
  restart(): Promise<void>
  /** Starts it again as a stand-by, which follows nobody and takes no writes. */
  becomeStandby(): Promise<void>
  stop(): Promise<void>
}

/** `config`: further settings, as `['-c', 'max_connections=20']`. */
export async function startPostgres(config: readonly string[] = []): Promise<RunningPostgres> {
  if (postgresServer === undefined) throw new Error('postgres is not installed')
  const program = postgresServer
  const user = serverUser()
  const directory = dataDirectory('postgres')
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory.path, user.uid, user.gid)
  const data = join(directory.path, 'data')
  const run = (command: string, ...args: string[]) => {
    const made = spawnSync(command, args, { ...user, cwd: directory.path, encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`${command} failed:\n${made.stdout}${made.stderr}`)
  }
  const template = newCluster(program, run)
  run('cp', '-a', template, data)

  const port = await freePort()
  const url = `postgres://test@127.0.0.1:${port}/postgres`
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${directory.path}`, 'fsync=off']
  const args = ['-D', data, '-p', `${port}`, ...settings.flatMap((each) => ['-c', each]), ...config]
  const start = () => startProcess(program, args, () => answers(url), user)
  let running = await start()
  return {
    port,
    url,
    kill: () => running.stop('SIGQUIT'),
    async restart() {
      await running.stop('SIGQUIT')
      running = await start()
    },
    async becomeStandby() {
      await running.stop('SIGINT')
      writeFileSync(join(data, 'standby.signal'), '')
      running = await start()
    },
    async stop() {
      await running.stop('SIGQUIT')
      directory.remove()
    },
  }
}

/**
 * A new database cluster, made once for all tests of a machine: to make one takes a second, to copy it a tenth of that.
 */
function newCluster(program: string, run: (command: string, ...args: string[]) => void): string {
  const options = ['--no-sync', '--auth=trust', '--username=test', '--encoding=UTF8', '--locale=C']
  const name = hash('sha256', JSON.stringify([program, options, userInfo().uid]), 'hex').slice(0, 16)
  const template = join(tmpdir(), `bcl-postgres-${name}`)
  if (existsSync(join(template, 'PG_VERSION'))) return template
  const made = `${template}-${process.pid}`
  run(program.replace(/postgres$/, 'initdb'), '-D', made, ...options)
  try {
    renameSync(made, template)
  } catch {
    // Another test file was first.
    removeFolder(made)
  }
  return template
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } finally {
    await client.end().catch(() => {})
  }
}

function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }).trim())
  return { uid: idOf('-u'), gid: idOf('-g') }
}
