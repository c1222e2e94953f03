// TypeScript of this repository as JavaScript, for programs that tests start many times: to compile the sources at each
// start would take longer than to run them.
import { hash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

const root = path.resolve(import.meta.dirname, '../..')
const WEEK_MS = 7 * 24 * 3600 * 1000
const targets = new Map<string, string>()

/**
 * The file of a compiled copy of these folders that belongs to `program`, e.g. `example-app/rp.ts`. Made once for all
 * processes and all test files, and kept under a name that is made of their content, inside the package, so that its
 * dependencies resolve.
 */
export function compiled(program: string, folders: readonly string[]): string {
  const name = folders.join()
  const target = targets.get(name) ?? compiledFolders(folders)
  targets.set(name, target)
  return path.join(target, program.replace(/ts$/, 'js'))
}

export function transpiled(file: string, source: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  }
  return ts.transpileModule(source, { compilerOptions, fileName: file }).outputText
}

function compiledFolders(folders: readonly string[]): string {
  const cache = path.join(root, 'node_modules/.cache/test-processes')
  mkdirSync(cache, { recursive: true })
  const files = folders.flatMap(filesIn)
  const target = path.join(cache, hash('sha256', JSON.stringify([ts.version, files]), 'base64url'))
  if (existsSync(target)) return target
  const made = mkdtempSync(path.join(cache, 'making-'))
  for (const [file, text] of files) {
    const isSource = file.endsWith('.ts')
    const copy = path.join(made, isSource ? file.replace(/ts$/, 'js') : file)
    mkdirSync(path.dirname(copy), { recursive: true })
    writeFileSync(copy, isSource ? transpiled(file, text) : text)
  }
  writeFileSync(path.join(made, 'package.json'), JSON.stringify(manifest(folders)))
  if (!folders.includes('src')) linkPackage(made, root)
  putInPlace(made, target)
  forgetOld(cache)
  return target
}

/** With the sources it is the package, as they are now; without them it finds the package by its name, as it was built. */
function manifest(folders: readonly string[]): object {
  if (!folders.includes('src')) return { type: 'module' }
  const text = readFileSync(path.join(root, 'package.json'), 'utf8').replaceAll('"./dist/', '"./src/')
  const { name, type, exports } = JSON.parse(text)
  return { name, type, exports }
}

/** Programs in this folder find the package there. */
export function linkPackage(folder: string, target = compiled('', ['src'])): void {
  mkdirSync(path.join(folder, 'node_modules'))
  symlinkSync(target, path.join(folder, 'node_modules/oidc-backchannel-logout'))
}

function filesIn(folder: string): readonly (readonly [file: string, text: string])[] {
  return readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.ts$|^tsconfig/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => [path.relative(root, file), readFileSync(file, 'utf8')])
}

/** Whole at once, and by whoever is first: test files run side by side. */
function putInPlace(made: string, target: string): void {
  try {
    renameSync(made, target)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
}

function forgetOld(cache: string): void {
  for (const name of readdirSync(cache)) {
    const made = path.join(cache, name)
    if (Date.now() - statSync(made).mtimeMs > WEEK_MS) rmSync(made, { recursive: true, force: true })
  }
}
