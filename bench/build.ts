// Compiles src/ and bench/ for one run, as `tsc` would, to a directory of its own: the processes that are measured run
// plain JavaScript, without the hooks a TypeScript runner leaves in every closure, and nobody's build changes under
// them.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ts from 'typescript'
import { FORMER_MODULES } from './former.js'

const root = path.resolve(import.meta.dirname, '..')

export interface Build {
  /** The compiled file that belongs to a file of bench/, e.g. `server.ts`. */
  file(name: string): string
  remove(): void
}

/** `sourceDir`: the sources of the package to measure; default: those beside this directory. */
export function build(sourceDir = path.join(root, 'src')): Build {
  const results = path.join(root, 'bench/results')
  mkdirSync(results, { recursive: true })
  // Inside the package, so that its dependencies resolve.
  const target = mkdtempSync(path.join(results, 'build-'))
  writeFileSync(path.join(target, 'package.json'), '{ "type": "module" }')
  compile(sourceDir, path.join(target, 'src'))
  leadToFormerModules(path.join(target, 'src'))
  compile(path.join(root, 'bench'), path.join(target, 'bench'))
  return {
    file: (name) => path.join(target, 'bench', name.replace(/\.ts$/, '.js')),
    remove: () => rmSync(target, { recursive: true, force: true }),
  }
}

/** The sources of an earlier commit, driven by this bench. Throws where git does not know the commit. */
export function buildOf(ref: string): Build {
  const checkout = mkdtempSync(path.join(tmpdir(), 'bench-'))
  try {
    const options = { cwd: root, maxBuffer: 2 ** 30 } as const
    const archive = execFileSync('git', ['archive', '--format=tar', ref, 'src'], options)
    execFileSync('tar', ['-x', '-C', checkout], { input: archive })
    return build(path.join(checkout, 'src'))
  } finally {
    rmSync(checkout, { recursive: true, force: true })
  }
}

function leadToFormerModules(compiled: string): void {
  for (const [module, former] of Object.entries(FORMER_MODULES)) {
    const file = path.join(compiled, `${module}.js`)
    if (existsSync(file) || !existsSync(path.join(compiled, `${former}.js`))) continue
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `export * from '${path.relative(path.dirname(file), path.join(compiled, former))}.js'\n`)
  }
}

function compile(from: string, to: string): void {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name)
    const compiled = path.join(to, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'results' && entry.name !== 'peers') compile(source, compiled)
      continue
    }
    mkdirSync(to, { recursive: true })
    if (!entry.name.endsWith('.ts')) {
      cpSync(source, compiled)
      continue
    }
    const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
      compilerOptions: { ...options, module: ts.ModuleKind.ESNext, declaration: false, sourceMap: false },
    })
    writeFileSync(compiled.replace(/\.ts$/, '.js'), outputText)
  }
}
