// One small project for each way in which Node programs are written, compiled and run: installed from the packed
// tarball, each with its own settings, each doing the same as `use.ts`.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { type Files, project, run } from './project.js'

const USE = readFileSync(path.join(import.meta.dirname, 'use.ts'), 'utf8')
const DONE = 'live true, logout 200, live false; 6 subpaths; errors true; true\n'

/** `use.ts` without its types, as one would write it in JavaScript. */
const javascript = (module: ts.ModuleKind) =>
  ts.transpileModule(USE, { compilerOptions: { module, target: ts.ScriptTarget.ES2022 } }).outputText

const typescript = (type: 'module' | 'commonjs', compilerOptions: object): Files => ({
  'package.json': { private: true, type },
  'tsconfig.json': {
    compilerOptions: {
      target: 'es2022',
      strict: true,
      skipLibCheck: true,
      types: ['node'],
      outDir: 'out',
      ...compilerOptions,
    },
    files: ['use.ts'],
  },
  'use.ts': USE,
})

const NODE10 = { module: 'commonjs', moduleResolution: 'node10' }
/** The declarations themselves are sound, and not only what is made of them. */
const CHECKED = { skipLibCheck: false }
/** prom-client is CommonJS, which no ESM bundle can hold; whoever bundles leaves it outside, as its own pages say. */
const BUNDLE = 'esbuild use.ts --bundle --platform=node --external:prom-client --outfile=out/use.js --log-level=warning'

/** What each project is, and what is run in it; the last command does what `use.ts` says. */
const PROJECTS: Readonly<Record<string, readonly [Files, ...string[]]>> = {
  'JavaScript, ESM': [{ 'use.mjs': javascript(ts.ModuleKind.ESNext) }, 'node use.mjs'],
  'JavaScript, CommonJS: require()': [{ 'use.cjs': javascript(ts.ModuleKind.CommonJS) }, 'node use.cjs'],
  'TypeScript, nodenext, ESM': [typescript('module', { module: 'nodenext', ...CHECKED }), 'tsc', 'node out/use.js'],
  'TypeScript, nodenext, CommonJS': [typescript('commonjs', { module: 'nodenext' }), 'tsc', 'node out/use.js'],
  'TypeScript, module commonjs (node10 resolution)': [
    typescript('commonjs', { ...NODE10, esModuleInterop: true, ...CHECKED }),
    'tsc',
    'node out/use.js',
  ],
  'TypeScript, strict: false': [typescript('commonjs', { ...NODE10, strict: false }), 'tsc', 'node out/use.js'],
  'TypeScript, bundler: one ESM file': [
    typescript('module', { module: 'preserve', moduleResolution: 'bundler', noEmit: true }),
    'tsc',
    `${BUNDLE} --format=esm`,
    'node out/use.js',
  ],
  'TypeScript, bundler: one CommonJS file': [
    typescript('commonjs', { module: 'preserve', moduleResolution: 'bundler', noEmit: true }),
    'tsc',
    `${BUNDLE} --format=cjs`,
    'node out/use.js',
  ],
  Bun: [{ 'use.ts': USE }, 'bun use.ts'],
  Deno: [
    { 'package.json': { dependencies: { 'oidc-backchannel-logout': '*' } }, 'use.ts': USE },
    'deno run --allow-all --node-modules-dir=manual use.ts',
  ],
}

describe('a project that installs the packed tarball', () => {
  it.each(Object.entries(PROJECTS))('%s', async (name, [files, ...commands]) => {
    const folder = project(name, files)
    for (const command of commands.slice(0, -1)) expect(await run(folder, command)).toEqual({ code: 0, output: '' })
    expect(await run(folder, commands.at(-1) ?? '')).toEqual({ code: 0, output: DONE })
  })

  it('is one package, whether it is imported or required: an error of one is an error of the other', async () => {
    const folder = project('one-package', {
      'both.cjs': `
        const required = require('oidc-backchannel-logout')
        import('oidc-backchannel-logout').then((imported) => {
          console.log(required.LogoutError === imported.LogoutError, required.memoryStore === imported.memoryStore)
        })`,
    })
    expect(await run(folder, 'node both.cjs')).toEqual({ code: 0, output: 'true true\n' })
  })

  it('would be told of a type that is not so', async () => {
    const wrong = `${USE}\nexport const logout = createBackchannelLogout({ provider: { issuer: 1, clientId: 'my-rp' } })\n`
    const folder = project('wrong', { ...typescript('commonjs', NODE10), 'use.ts': wrong })
    const { code, output } = await run(folder, 'tsc')
    expect(output).toMatch(/TS2322: Type 'number' is not assignable to type 'string'/)
    expect(code).not.toBe(0)
  })
})
