// A program of this folder as a process of its own: started with its settings, talked to by messages, killed without a
// word.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { compiled } from '../servers/compiled.js'
import { SETTINGS } from './settings.js'

export interface Child<Ready> {
  /** What the program said when it was ready. */
  readonly ready: Ready
  readonly isGone: () => boolean
  /** What it wrote to its standard error, for a failing test's message. */
  readonly complaints: () => string
  /** Tells the program something, and waits until it has heard it. */
  tell(message: object): Promise<void>
  /** SIGKILL, and waits until the process is gone. */
  kill(): Promise<void>
  /** Resolves when the process is gone, by whatever hand. */
  readonly gone: Promise<void>
}

/** `file`: a program of this folder, e.g. `rp-process.ts`. */
export async function startChild<Ready>(file: string, settings: object): Promise<Child<Ready>> {
  const program = compiled(`test/processes/${file}`, ['src', 'test/processes'])
  const child: ChildProcess = spawn(process.execPath, [program], {
    env: { ...process.env, NODE_ENV: 'test', [SETTINGS]: JSON.stringify(settings) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const said: string[] = []
  child.stderr?.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const gone = once(child, 'exit').then(() => {})
  const isGone = () => child.exitCode !== null || child.signalCode !== null
  const ready = await Promise.race([
    once(child, 'message').then(([message]) => message as Ready),
    gone.then(() => {
      throw new Error(`${file} did not start:\n${said.join('')}`)
    }),
  ])
  return {
    ready,
    isGone,
    gone,
    complaints: () => said.join(''),
    async tell(message) {
      const heard = once(child, 'message')
      child.send(message)
      await heard
    },
    async kill() {
      if (!isGone()) child.kill('SIGKILL')
      await gone
    },
  }
}
