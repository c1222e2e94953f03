// `npm run embed`: writes the Lua and SQL of the stores into the modules that ship them, so that no build step and no
// bundler has to carry files. A test asserts that both are equal.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const stores = path.join(import.meta.dirname, '../src/stores')
const LUA = 'redis/lua'
const MIGRATIONS = 'postgres/sql/migrations'
const FUNCTIONS = 'postgres/sql/functions'

/** Every generated file: its path under src/stores, and what must be in it. */
export const GENERATED: Readonly<Record<string, () => string>> = {
  'redis/generated/scripts.ts': redisScripts,
  'postgres/generated/schema.sql': postgresSchema,
  'postgres/generated/schema.ts': postgresModule,
}

export function inStores(file: string): string {
  return readFileSync(path.join(stores, file), 'utf8')
}

function sourcesIn(folder: string, extension: '.lua' | '.sql'): readonly string[] {
  return readdirSync(path.join(stores, folder))
    .filter((name) => name.endsWith(extension))
    .sort()
    .map((name) => `${folder}/${name}`)
}

/** Something that others use by name: a Lua local or function, or a function in the database. */
interface Named {
  readonly names: readonly string[]
  readonly text: string
}

/** Of these what a text needs, and what that needs in turn; each after what it uses itself. */
function neededBy(text: string, all: readonly Named[]): readonly Named[] {
  const needed = new Set<Named>()
  const visited = new Set<Named>()
  const visit = (code: string) => {
    const words = new Set(
      withoutComments(code)
        .replace(/'[^'\n]*'/g, '')
        .match(/\w+/g),
    )
    for (const each of all) {
      if (visited.has(each) || !each.names.some((name) => words.has(name))) continue
      visited.add(each)
      visit(each.text)
      needed.add(each)
    }
  }
  visit(text)
  return [...needed]
}

/** Without the lines that are nothing but a comment. */
function withoutComments(code: string): string {
  return code.replace(/^\s*--.*\n/gm, '')
}

function redisScripts(): string {
  const parts = luaParts(`${LUA}/parts`)
  const standaloneParts = [...parts, ...luaParts(`${LUA}/standalone/parts`)]
  return [
    `// Generated from ${LUA} by \`npm run embed\`: do not edit. A script is one operation with only the parts it needs.`,
    '// biome-ignore-all format: a list of names is easier to read on one line.',
    '',
    ...standaloneParts.map(({ names: [name], text }) => `const ${name} = ${literal(text)}\n`),
    scripts('STANDALONE_SCRIPTS', `${LUA}/standalone`, standaloneParts),
    scripts('CLUSTER_SCRIPTS', `${LUA}/cluster`, parts),
  ].join('\n')
}

/** What the files of a folder declare at their top level. */
function luaParts(folder: string): readonly Named[] {
  return sourcesIn(folder, '.lua').flatMap((file) =>
    withoutComments(inStores(file))
      .split(/\n(?=local )/)
      .filter((text) => text.trim() !== '')
      .map((text) => {
        const [, fn, locals] = /^\s*local (?:function (\w+)|([\w, ]+))/.exec(text) ?? []
        const names = (fn ?? locals ?? '').trim().split(/,\s*/)
        if (names[0] === '') throw new Error(`${file} has something that is no local: ${text}`)
        return { names, text: text.trim() }
      }),
  )
}

/** What only the part of an operation below this line needs is made there: who returned before does not pay for it. */
const REST = /^-- Rest:\n/m

function scripts(name: string, folder: string, parts: readonly Named[]): string {
  const members = sourcesIn(folder, '.lua').map((file) => {
    const operation = path.basename(file, '.lua').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
    const made = new Set<Named>()
    const texts = inStores(file)
      .split(REST)
      .map((code) => {
        const text = withoutComments(code).trimStart()
        const needed = neededBy(text, parts).filter((part) => !made.has(part))
        for (const part of needed) made.add(part)
        return [...needed.map(({ names: [part] }) => part), literal(text)].join(', ')
      })
    return `  ${operation}: [${texts.join(', ')}].join('\\n'),`
  })
  return `export const ${name} = {\n${members.join('\n')}\n}\n`
}

/**
 * The migrations that the database has not had, in their order, then every function anew. All of it is one transaction,
 * also with psql's --single-transaction.
 */
function postgresSchema(): string {
  const functions = sqlFunctions()
  return [
    '-- Generated from sql/ by `npm run embed`: do not edit.',
    inStores('postgres/sql/opening.sql'),
    migrations(),
    ...functions,
    `-- Which migration was the last one.
CREATE OR REPLACE FUNCTION bcl_version() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT ${schemaVersion()} $$;
`,
    `-- Which text the functions have.
CREATE OR REPLACE FUNCTION bcl_functions() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '${digestOf(functions)}' $$;
`,
  ].join('\n')
}

/** Each after those that it calls: PostgreSQL looks for them when it is created. */
function sqlFunctions(): readonly string[] {
  const functions = sourcesIn(FUNCTIONS, '.sql').map((file) => {
    const name = path.basename(file, '.sql')
    const text = inStores(file)
    const created = [...text.matchAll(/^CREATE (.*?)\b(bcl_\w+)\(/gm)].map(([, how, made]) => `${how}${made}`)
    if (created.join() !== `OR REPLACE FUNCTION ${name}`) throw new Error(`${file} has not just: OR REPLACE ${name}`)
    return { names: [name], text }
  })
  return neededBy(functions.flatMap(({ names }) => names).join(' '), functions).map(({ text }) => text)
}

function migrations(): string {
  const steps = migrationFiles().map((file, i) => {
    const body = inStores(file)
      .trimEnd()
      .replace(/^(?=.)/gm, '    ')
    return `  IF installed < ${i + 1} THEN\n${body}\n  END IF;\n`
  })
  return `DO $migrations$
DECLARE
  installed integer := 0;
BEGIN
  IF to_regprocedure(quote_ident(current_schema()) || '.bcl_version()') IS NOT NULL THEN
    EXECUTE 'SELECT ' || quote_ident(current_schema()) || '.bcl_version()' INTO installed;
  END IF;
  IF installed > ${schemaVersion()} THEN
    RAISE EXCEPTION 'The logout store of this database has schema version %, of a newer package than this, which has %',
      installed, ${schemaVersion()} USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
${steps.join('')}END $migrations$;
`
}

/** 001-tables.sql, 002-….sql: none may be missing, or two have one number. */
function migrationFiles(): readonly string[] {
  const files = sourcesIn(MIGRATIONS, '.sql')
  for (const [i, file] of files.entries()) {
    const number = String(i + 1).padStart(3, '0')
    if (!path.basename(file).startsWith(`${number}-`)) throw new Error(`${file} should be number ${number}`)
  }
  return files
}

function schemaVersion(): number {
  return migrationFiles().length
}

function digestOf(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join('')).digest('hex').slice(0, 16)
}

function postgresModule(): string {
  return `// Generated from sql/ by \`npm run embed\`: do not edit. The text of schema.sql, and what a database says that has it.

/** As in \`bcl_version()\`. */
export const SCHEMA_VERSION = ${schemaVersion()}

/** As in \`bcl_functions()\`. */
export const FUNCTIONS_DIGEST = '${digestOf(sqlFunctions())}'

export const SCHEMA = ${literal(postgresSchema())}
`
}

function literal(text: string): string {
  return `\`${text.replace(/[\\`]|\$\{/g, '\\$&')}\``
}

if (process.argv[1] === import.meta.filename) {
  for (const [file, content] of Object.entries(GENERATED)) {
    mkdirSync(path.dirname(path.join(stores, file)), { recursive: true })
    writeFileSync(path.join(stores, file), content())
  }
}
