// Starts and stops the real servers that tests run against: each on a free port with a data directory of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe } from 'vitest'
import { removeFolder } from './folders.js'

/** How long a server may take until it answers. */
const START_DEADLINE_MS = 30_000

/** `describe` where the binary is installed; else a loud skip, or in CI a failure. */
export function describeWith(binary: string | undefined, name: string): typeof describe | typeof describe.skip {
  if (binary !== undefined) return describe
  if (process.env.CI) throw new Error(`${name} is not installed, and in CI these tests must not be skipped`)
  process.stderr.write(`\n*** SKIPPED: ${name} is not installed; the tests against it did not run ***\n\n`)
  return describe.skip
}

/** The first of these programs that can be run. */
export function installed(...paths: readonly string[]): string | undefined {
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export function onPath(program: string): readonly string[] {
  return (process.env.PATH ?? '').split(':').map((folder) => join(folder, program))
}

/** Below those that the kernel gives away: it may give one to another connection before its server has it. */
const OWN_PORTS = { first: 10_000, count: 20_000 }

/** A port of 127.0.0.1 that nothing listens at, for a server that cannot choose one for itself. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = OWN_PORTS.first + randomInt(OWN_PORTS.count)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error('no free port')
}

export interface DataDirectory {
  readonly path: string
  remove(): void
}

export function dataDirectory(name: string): DataDirectory {
  const path = mkdtempSync(join(tmpdir(), `bcl-${name}-`))
  return { path, remove: () => removeFolder(path) }
}

export interface RunningProcess {
  readonly child: ChildProcess
  /** Resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Starts a program and waits until it is ready; if it ends before that, rejects with what it said. */
export async function startProcess(
  program: string,
  args: readonly string[],
  isReady: () => Promise<boolean>,
  user: { readonly uid?: number; readonly gid?: number } = {},
): Promise<RunningProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...user })
  const said: string[] = []
  child.stdout?.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const exited = once(child, 'exit')
  const killWithParent = () => child.kill('SIGKILL')
  process.once('exit', killWithParent)
  const deadline = Date.now() + START_DEADLINE_MS
  while (!(await isReady().catch(() => false))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`${program} did not start:\n${said.join('')}`)
    }
    await delay(25)
  }
  return {
    child,
    async stop(signal = 'SIGTERM') {
      process.removeListener('exit', killWithParent)
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal)
        await exited
      }
    },
  }
}
