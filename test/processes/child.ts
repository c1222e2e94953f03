// A program of this folder as a process of its own: started with its settings, talked to by messages, killed without a word.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { afterAll } from 'vitest'
import { SETTINGS } from './settings.js'

const root = path.resolve(import.meta.dirname, '../..')

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
  const program = path.join(compiled(), 'test/processes', file.replace(/ts$/, 'js'))
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

let compiledTo: string | undefined
afterAll(() => {
  if (compiledTo !== undefined) rmSync(compiledTo, { recursive: true, force: true })
})

/** Once for all processes, since each of them would take longer to compile the sources than to run them. */
function compiled(): string {
  if (compiledTo !== undefined) return compiledTo
  // Inside the package, so that its dependencies resolve.
  const cache = path.join(root, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const target = mkdtempSync(path.join(cache, 'test-processes-'))
  writeFileSync(path.join(target, 'package.json'), '{ "type": "module" }')
  for (const folder of ['src', 'test/processes']) compile(folder, target)
  compiledTo = target
  return target
}

function compile(folder: string, target: string): void {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  }
  for (const file of readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
    const source = readFileSync(path.join(root, folder, file), 'utf8')
    const js = path.join(target, folder, file.replace(/ts$/, 'js'))
    mkdirSync(path.dirname(js), { recursive: true })
    writeFileSync(js, ts.transpileModule(source, { compilerOptions, fileName: file }).outputText)
  }
}
