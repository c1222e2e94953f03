// Starts a program of the example as its own process, and waits for what it prints.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compiled } from '../servers/compiled.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface Program {
  /** All that it printed so far. */
  readonly stdout: string
  readonly stderr: string
  /** Resolves to the match as soon as standard output has it; rejects if the program ends before. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>
  /** Sends the signal and resolves to how the program ended. */
  stop(signal?: NodeJS.Signals): Promise<Exit>
  readonly ended: Promise<Exit>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * `file`: relative to `example-app/`. The environment is the given one and PATH, nothing else. `how`: compiled before, or
 * by tsx, as `npm start` and `npm run rp` do, which takes each start a second more.
 */
export function startProgram(
  file: string,
  env: Readonly<Record<string, string>> = {},
  how: 'compiled' | 'tsx' = 'compiled',
): Program {
  if (!existsSync(`${ROOT}dist/index.js`)) throw new Error('The example uses the built package: npm run build first')
  const args =
    how === 'tsx' ? ['--import', 'tsx', `example-app/${file}`] : [compiled(`example-app/${file}`, ['example-app'])]
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }))

  return {
    get stdout() {
      return stdout
    },
    get stderr() {
      return stderr
    },
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = stdout.match(pattern)
          if (match) resolve(match)
        }
        child.stdout.on('data', look)
        look()
        void ended.then(({ code }) =>
          reject(new Error(`${file} ended with ${code} before it printed ${pattern}: ${stderr}`)),
        )
      }),
    stop: (signal = 'SIGTERM') => {
      child.kill(signal)
      return ended
    },
    ended,
  }
}
