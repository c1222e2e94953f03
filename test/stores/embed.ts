// Writes the Lua and SQL sources into the modules that ship them, so that no build step or bundler has to carry files:
// `npx tsx test/stores/embed.ts`. A test asserts that both are equal.
import { readFileSync, writeFileSync } from 'node:fs'

const stores = new URL('../../src/stores/', import.meta.url)

export interface Embedding {
  readonly module: string
  readonly source: string
}

export const EMBEDDINGS: readonly (() => Embedding)[] = [
  () => ({ module: 'redis/scripts.ts', source: redisScripts() }),
  () => ({ module: 'postgres/schema.ts', source: postgresSchema() }),
]

export function current(module: string): string {
  return readFileSync(new URL(module, stores), 'utf8')
}

function redisScripts(): string {
  const shared = current('redis/shared.lua')
  return [
    '// The Lua of this folder as text; written by test/stores/embed.ts, which a test compares. Change the .lua files instead.',
    '',
    constant('STANDALONE_SCRIPT', shared + current('redis/standalone.lua')),
    constant('CLUSTER_SCRIPT', shared + current('redis/cluster.lua')),
  ].join('\n')
}

function postgresSchema(): string {
  return [
    '// schema.sql as text; written by test/stores/embed.ts, which a test compares. Change schema.sql instead.',
    '',
    constant('SCHEMA', current('postgres/schema.sql')),
  ].join('\n')
}

function constant(name: string, text: string): string {
  return `export const ${name} = \`${text.replace(/[\\`]|\$\{/g, '\\$&')}\`\n`
}

if (import.meta.url === `file://${process.argv[1]}`) {
  for (const embedding of EMBEDDINGS) {
    const { module, source } = embedding()
    writeFileSync(new URL(module, stores), source)
  }
}
