// What is downloaded or built once and kept outside the tree, and what is said when a runtime is missing. Knows no provider.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

const ROOT = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'oidc-backchannel-logout')

/** The folder of that name, made by `make` if it is not there yet; what is begun and fails leaves nothing behind. */
export function cached(name: string, make: (folder: string) => void): string {
  const folder = join(ROOT, name)
  if (existsSync(folder)) return folder
  const unfinished = `${folder}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    make(unfinished)
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    throw error
  }
  return folder
}

export interface Where {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program to its end and returns what it printed. Throws with what it complained of. */
export function run(program: string, args: readonly string[], { cwd, env = {} }: Where = {}): string {
  const options = {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: { ...process.env, ...env },
    ...(cwd && { cwd }),
  } as const
  const { status, stdout, stderr, error } = spawnSync(program, args, options)
  if (status !== 0) throw new Error(`${program} ${args[0] ?? ''} failed: ${error?.message ?? stderr.slice(-2000)}`)
  return stdout
}

export function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)))
}

/** `describe` where all of these programs are; else a loud skip, or in CI a failure. */
export function describeWhere(programs: readonly string[]): typeof describe | typeof describe.skip {
  const missing = programs.filter((program) => !isOnPath(program))
  if (missing.length === 0) return describe
  const what = missing.join(', ')
  if (process.env.CI) throw new Error(`${what} not installed, and in CI no provider may be skipped`)
  process.stderr.write(`\n*** SKIPPED: ${what} not installed; this OpenID Provider was not tried ***\n\n`)
  return describe.skip
}
