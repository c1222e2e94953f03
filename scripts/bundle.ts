// `npm run build`, after the compiler: makes the modules of dist/ a few files. Node takes longer to find and open two
// hundred small files than to compile what is in them. What several entries share is in files of its own, so that
// there is one of each class and of each state, whichever entries are imported. The types stay as they are, and the
// source maps lead to src/.
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }

const ROOT = join(import.meta.dirname, '..')
const COMPILED = join(ROOT, 'dist')
// Beside it, since source maps are relative.
const BUNDLED = join(ROOT, 'dist-bundled')
const CHUNKS = 'chunks'

const exported = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : entry.default))
const entryPoints = [...exported, ...Object.values(manifest.bin)].map((file) => join(ROOT, file))

const isCode = (file: string) => /\.js(\.map)?$/.test(file)
const compiled = readdirSync(COMPILED, { recursive: true, encoding: 'utf8' }).filter(isCode)
// What a run that failed left there would be shipped.
rmSync(BUNDLED, { recursive: true, force: true })
await build({
  entryPoints,
  outdir: BUNDLED,
  outbase: COMPILED,
  chunkNames: `${CHUNKS}/[hash]`,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
})
for (const file of compiled) rmSync(join(COMPILED, file))
mkdirSync(join(COMPILED, CHUNKS))
for (const file of readdirSync(BUNDLED, { recursive: true, encoding: 'utf8' }).filter(isCode)) {
  renameSync(join(BUNDLED, file), join(COMPILED, file))
}
rmSync(BUNDLED, { recursive: true })
