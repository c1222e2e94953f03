// A process of one's own with commands to call: whatever is measured runs in one, and whatever loads it in another.
import { type ChildProcess, fork } from 'node:child_process'

/** What a process answers: each command takes one structured value and gives one. */
export type Commands = Readonly<Record<string, (argument: never) => unknown>>

interface Call {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** In the child: answers calls until the parent is gone, and never outlives it. */
export function answer(commands: Commands): void {
  process.on('disconnect', () => process.exit())
  // The parent decides when it is over; an interrupt at the terminal reaches the whole group.
  process.on('SIGINT', () => {})
  process.on('message', async ({ id, name, argument }: Call) => {
    try {
      const command: ((argument: never) => unknown) | undefined = commands[name]
      if (command === undefined) throw new TypeError(`no command ${name}`)
      process.send?.({ id, result: await command(argument as never) } satisfies Reply)
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
}

/** In the parent: a started process. `C` is the type of the object that it gave to `answer`. */
export class Remote<C extends Commands> {
  static readonly #running = new Set<Remote<Commands>>()

  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  #calls = 0

  static start<C extends Commands>(file: string, nodeOptions: readonly string[] = []): Remote<C> {
    return new Remote<C>(file, nodeOptions)
  }

  static stopAll(): void {
    for (const remote of Remote.#running) remote.stop()
  }

  private constructor(file: string, nodeOptions: readonly string[]) {
    this.#child = fork(file, [], {
      execArgv: [...nodeOptions],
      serialization: 'advanced',
      env: { ...process.env, NODE_ENV: 'production' },
    })
    this.#child.on('message', (reply: Reply) => this.#settle(reply))
    this.#child.on('exit', () => {
      Remote.#running.delete(this)
      for (const { reject } of this.#waiting.values()) reject(new Error(`${file} ended before it answered`))
    })
    Remote.#running.add(this)
  }

  call<N extends keyof C & string>(name: N, argument: Parameters<C[N]>[0]): Promise<Awaited<ReturnType<C[N]>>> {
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, name, argument } satisfies Call)
    })
  }

  stop(): void {
    Remote.#running.delete(this)
    if (this.#child.connected) this.#child.disconnect()
  }

  #settle({ id, result, error }: Reply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result as never)
    else waiting?.reject(new Error(error))
  }
}
