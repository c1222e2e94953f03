// The programs of docs/recipes and of the README: taken out of their Markdown as they stand, and run as a reader would
// run them. A fenced block whose info string names a file ("```ts app.ts") is that file.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { linkPackage, transpiled } from '../servers/compiled.js'
import { removeFolder } from '../servers/folders.js'

export const RECIPES = path.resolve(import.meta.dirname, '../../docs/recipes')
export const TSCONFIG = path.join(import.meta.dirname, 'tsconfig.recipes.json')
/** Where programs lie that need nothing but what the repository itself installs. */
const PROGRAMS = path.join(import.meta.dirname, '.programs')
const GIVEN_SOCKET = pathToFileURL(path.join(import.meta.dirname, 'given-socket.ts')).href

export interface RecipeFile {
  readonly name: string
  readonly code: string
}

/** The files of a recipe, in the order of the page. */
export function filesOf(recipe: string): readonly RecipeFile[] {
  const page = recipe === 'README' ? path.join(RECIPES, '../../README.md') : path.join(RECIPES, `${recipe}.md`)
  const text = readFileSync(page, 'utf8')
  return [...text.matchAll(/^```(?:tsx?|js) (\S+)\n([\s\S]*?)^```$/gm)].map(([, name = '', code = '']) => ({
    name,
    code,
  }))
}

/** Names of all pages that hold a program. */
export function recipes(): readonly string[] {
  return readdirSync(RECIPES)
    .filter((file) => file.endsWith('.md'))
    .map((file) => file.slice(0, -'.md'.length))
    .filter((recipe) => filesOf(recipe).length > 0)
}

/**
 * Writes a recipe's files, and the login that many share, below a folder where imports find what they need; returns
 * theirs.
 */
export function unpack(recipe: string, change: (code: string) => string = (code) => code, programs = PROGRAMS): string {
  mkdirSync(programs, { recursive: true })
  const folder = mkdtempSync(path.join(programs, `${recipe}-`))
  for (const { name, code } of [...filesOf('login'), ...filesOf(recipe)]) {
    const file = path.join(folder, name)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, change(code))
  }
  return folder
}

/** Where a program will listen: its origin is known before it is started, because its own settings hold it. */
export async function reserveOrigin(): Promise<{ readonly origin: string; readonly socket: Server }> {
  const socket = createServer()
  socket.listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const address = socket.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { origin: `http://127.0.0.1:${address.port}`, socket }
}

export interface RunOptions {
  readonly folder: string
  /** File to run, from the folder or absolute. Default: `app.ts`. */
  readonly entry?: string
  /** A reserved socket: whatever port the program names, it listens there. */
  readonly socket: Server
  readonly env: Readonly<Record<string, string>>
  readonly tsconfig?: string
}

export interface RunningProgram {
  /** What it wrote to standard error. */
  readonly complaints: () => string
  stop(): Promise<void>
}

/** Runs a program, and resolves when it listens. */
export async function run({
  folder,
  entry = 'app.ts',
  socket,
  env,
  tsconfig = TSCONFIG,
}: RunOptions): Promise<RunningProgram> {
  const isCompiled = tsconfig === TSCONFIG && !path.isAbsolute(entry)
  const args = isCompiled
    ? compiledProgram(folder, entry)
    : ['--import', 'tsx', '--import', GIVEN_SOCKET, path.resolve(folder, entry)]
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, TSX_TSCONFIG_PATH: tsconfig, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  child.send('listen here', socket)
  const stop = () => stopped(child).then(() => removeFolder(folder))
  const outcome = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => undefined)])
  socket.close()
  if (outcome === undefined) {
    await stop()
    throw new Error(`the program ended before it listened: ${complaints}`)
  }
  return { complaints: () => complaints, stop }
}

/** Beside its sources: a start takes tsx a second more, which is most of many tests. */
function compiledProgram(folder: string, entry: string): readonly string[] {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const file = path.join(folder, name)
    writeFileSync(file.replace(/ts$/, 'js'), transpiled(name, readFileSync(file, 'utf8')))
  }
  const socket = path.join(folder, '.given-socket.js')
  writeFileSync(socket, transpiled(socket, readFileSync(new URL(GIVEN_SOCKET), 'utf8')))
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }')
  linkPackage(folder)
  return ['--import', pathToFileURL(socket).href, path.join(folder, entry.replace(/\.ts$/, '.js'))]
}

export async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}
