// A program of this folder as a process of its own: started with its settings, talked to by messages, killed without a word.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')
const SETTINGS = 'BCL_TEST_PROCESS'

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

export async function startChild<Ready>(file: string, settings: object): Promise<Child<Ready>> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', path.join(import.meta.dirname, file)], {
    cwd: root,
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

/** In the program itself: the settings it was started with. It ends with the process that started it. */
export function settings<T>(): T {
  process.on('disconnect', () => process.exit(0))
  return JSON.parse(process.env[SETTINGS] ?? '{}') as T
}

/** In the program itself: says that it is ready. */
export function sayReady(ready: object): void {
  process.send?.(ready)
}

/** In the program itself: hears what it is told. */
export function onTold<T>(hear: (message: T) => void): void {
  process.on('message', (message) => {
    hear(message as T)
    process.send?.('heard')
  })
}
