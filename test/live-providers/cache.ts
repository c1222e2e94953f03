// What is downloaded or built once and kept outside the tree, and what is said when a runtime is missing. Knows no
// provider.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe } from 'vitest'

const ROOT = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'oidc-backchannel-logout')

/** Seconds before each further try: a registry that does not answer at once mostly answers a little later. */
const PAUSES_SECONDS = [2, 15]

/**
 * The folder of that name, made by `make` if it is not there yet. `make` is tried three times, each time in an empty
 * folder; what is begun and fails leaves nothing behind.
 */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(ROOT, name)
  if (existsSync(folder)) return folder
  for (const pause of [...PAUSES_SECONDS, undefined]) {
    const unfinished = `${folder}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    try {
      await make(unfinished)
      // Another process may have been faster.
      if (!existsSync(folder)) renameSync(unfinished, folder)
      return folder
    } catch (error) {
      if (pause === undefined) throw error
      process.stderr.write(`\n${name}: ${String(error)}\nTried again in ${pause} s.\n`)
      await delay(pause * 1000)
    } finally {
      rmSync(unfinished, { recursive: true, force: true })
    }
  }
  return folder
}

export interface Where {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program to its end and returns what it printed. Rejects with what it complained of. */
export async function run(program: string, args: readonly string[], { cwd, env = {} }: Where = {}): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd && { cwd }),
  })
  let printed = ''
  let complained = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    complained = (complained + chunk.toString()).slice(-2000)
  })
  const killWithParent = () => child.kill('SIGKILL')
  process.once('exit', killWithParent)
  try {
    const [status] = await once(child, 'close')
    if (status !== 0) throw new Error(`${program} ${args[0] ?? ''} failed (${status}): ${complained}`)
    return printed
  } finally {
    process.removeListener('exit', killWithParent)
  }
}

export function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)))
}

/** What a machine that is not this year's Debian lacks. */
export const KEY_OF_NEXT_DEBIAN = "the archive key of Debian's next release"
/**
 * No package of Debian has them in a version that would do, or not on every machine: in CI they may be missing as well.
 */
const MAY_BE_MISSING = new Set(['java', 'mvn', 'go', KEY_OF_NEXT_DEBIAN])

/**
 * `describe` where all of these programs are; else a loud skip. In CI that is a failure, but for the runtimes that the
 * machine itself must bring.
 */
export function describeWhere(programs: readonly string[]): typeof describe | typeof describe.skip {
  const missing = programs.filter((program) => !isOnPath(program))
  if (missing.length === 0) return describe
  const what = missing.join(', ')
  if (process.env.CI && !missing.every((program) => MAY_BE_MISSING.has(program))) {
    throw new Error(`${what} not installed, and in CI no provider may be skipped for it`)
  }
  process.stderr.write(`\n*** SKIPPED: ${what} not installed; this OpenID Provider was not tried ***\n\n`)
  return describe.skip
}
