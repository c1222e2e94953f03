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
  const shared = declarationsIn(current('redis/shared.lua'))
  const standalone = declarationsIn(current('redis/standalone.lua'))
  const cluster = declarationsIn(current('redis/cluster.lua'))
  return [
    '// The Lua of this folder as text; written by test/stores/embed.ts, which a test compares. Change the .lua files instead.',
    '// biome-ignore-all format: a list of names is easier to read on one line.',
    '',
    ...[...shared, ...standalone, ...cluster]
      .filter((each) => !each.isOperation && each.name !== 'operations' && each.name !== 'steps')
      .map(({ name, text }) => `const ${name} = \`${escaped(text)}\`\n`),
    scripts('STANDALONE_SCRIPTS', [...shared, ...standalone]),
    scripts('CLUSTER_SCRIPTS', [...shared, ...cluster]),
  ].join('\n')
}

/** What a Lua file declares at its top level, with the comments above. */
interface Declaration {
  readonly name: string
  /** Whether it is an operation (or a step of one), and not something that these use. */
  readonly isOperation: boolean
  readonly text: string
}

function declarationsIn(lua: string): readonly Declaration[] {
  return lua.split(/\n(?=(?:--[^\n]*\n)*(?:local|function) )/).flatMap((text): readonly Declaration[] => {
    const [, shared, table, operation] = /^(?:local (?:function )?(\w+)|function (\w+)\.(\w+))/m.exec(text) ?? []
    if (shared !== undefined) return [{ name: shared, isOperation: false, text: text.trim() }]
    if (operation === undefined) return []
    return [
      {
        name: operation,
        isOperation: true,
        text: text.trim().replace(`function ${table}.${operation}`, 'local function run'),
      },
    ]
  })
}

/** One script for each operation: the declarations that it needs, in their order, and the call. */
function scripts(name: string, declarations: readonly Declaration[]): string {
  const shared = declarations.filter((each) => !each.isOperation)
  const members = declarations
    .filter((each) => each.isOperation)
    .map((operation) => {
      const needed = new Set<Declaration>([operation])
      for (const each of needed) {
        for (const other of shared) if (new RegExp(`\\b${other.name}\\b`).test(code(each))) needed.add(other)
      }
      const parts = shared.filter((each) => needed.has(each)).map((each) => each.name)
      return `  ${operation.name}: [${[...parts, ''].join(', ')}\`${escaped(`${operation.text}\nreturn run()\n`)}\`].join('\\n'),`
    })
  return `export const ${name} = {\n${members.join('\n')}\n}\n`
}

function code({ text }: Declaration): string {
  return text.replace(/--.*|'[^'\n]*'/g, '')
}

function postgresSchema(): string {
  return [
    '// schema.sql as text; written by test/stores/embed.ts, which a test compares. Change schema.sql instead.',
    '',
    constant('SCHEMA', current('postgres/schema.sql')),
  ].join('\n')
}

function constant(name: string, text: string): string {
  return `export const ${name} = \`${escaped(text)}\`\n`
}

function escaped(text: string): string {
  return text.replace(/[\\`]|\$\{/g, '\\$&')
}

if (import.meta.url === `file://${process.argv[1]}`) {
  for (const embedding of EMBEDDINGS) {
    const { module, source } = embedding()
    writeFileSync(new URL(module, stores), source)
  }
}
