// Writes docs/errors.md from the sources: every code, reason and sentence as it stands there.
// `npx tsx scripts/errors-page.ts`
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { adviceOn } from '../src/advice.js'
import { ALL_MISTAKES, mistakeError } from '../src/mistakes/mistakes.js'
import { TOKEN_REFUSALS } from '../src/tokens/token-refusal.js'

const root = path.resolve(import.meta.dirname, '..')

interface Row {
  readonly code: string
  readonly reason: string
  readonly sentence: string
  readonly section: string
  /** Default: what is known of its code and reason. */
  readonly remedy?: string
}

/** Rooms that raise no error of the receiver's own. */
const APART = ['testing', 'cli', 'telemetry']

/** What docs/errors.md must be. */
export function errorsPage(): string {
  const rows = uniqueRows([...sourceFiles().flatMap(rowsIn), ...mistakeRows()])
  const codes = codesWithMeaning().flatMap(([code, meaning]) => {
    const own = rows.filter((row) => row.code === code)
    return [`## ${code}`, '', `${meaning}`, '', ...tableOf(own)]
  })
  return [
    '# Errors',
    '',
    '<!-- Written from the sources by scripts/errors-page.ts: change them, not this page. -->',
    '',
    'Everything met at run time is a `LogoutError`. `code` says what kind of thing went wrong, and is meant for `switch`; `reason` says by which rule; `message` is the sentence below, and never holds anything of a token, a person or a session.',
    'Where it applies, `claim` names the claim, `option` the option that would accept this, and `remedy` what to do, often with words of your configuration in it; `page` is where to read on. Misuse is a `TypeError` when the application boots, and names option and remedy itself.',
    'What one *sees*, and what to do about it, is in [troubleshooting](troubleshooting.md); what the provider is answered, in [answers](answers.md).',
    '',
    ...codes,
  ].join('\n')
}

function mistakeRows(): readonly Row[] {
  return ALL_MISTAKES.map((reason) => {
    const { code, message, remedy = '' } = mistakeError(reason)
    return { code, reason, sentence: message, section: '', remedy }
  })
}

/** The list in the docstring of `ErrorCode`. */
function codesWithMeaning(): readonly (readonly [string, string])[] {
  const source = readFileSync(path.join(root, 'src/errors.ts'), 'utf8')
  const found = [...source.matchAll(/^ \* - `(ERR_\w+)`: (.+(?:\n \* {3}.+)*)$/gm)]
  return found.map(([, code = '', words = '']) => {
    const meaning = words.replaceAll(/\n \*\s+/g, ' ')
    return [code, meaning.charAt(0).toUpperCase() + meaning.slice(1)] as const
  })
}

function sourceFiles(): readonly ts.SourceFile[] {
  return readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !APART.includes(file.split(path.sep)[0] ?? ''))
    .sort()
    .map((file) => {
      const text = readFileSync(path.join(root, 'src', file), 'utf8')
      return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
    })
}

/** `ERR_X` followed by a sentence, in a call or a list; or followed by a look-up in a table of this file. */
function rowsIn(file: ts.SourceFile): readonly Row[] {
  if (file.fileName.endsWith('token-refusal.ts')) {
    return Object.entries(TOKEN_REFUSALS).map(([reason, { section, sentence }]) => ({
      code: 'ERR_TOKEN',
      reason,
      sentence,
      section,
    }))
  }
  const tables = new Map<string, readonly (readonly [string, string])[]>()
  const rows: Row[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name)) {
      const object = objectIn(node.initializer)
      if (object !== undefined) tables.set(node.name.text, object)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  const raise = (node: ts.Node): void => {
    const list =
      ts.isCallExpression(node) || ts.isNewExpression(node)
        ? node.arguments
        : ts.isArrayLiteralExpression(node)
          ? node.elements
          : undefined
    if (list !== undefined) rows.push(...rowsOf([...list], tables))
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) rows.push(...noVerdictRows(node, tables))
    ts.forEachChild(node, raise)
  }
  raise(file)
  return rows
}

function rowsOf(
  [first, second, ...rest]: readonly ts.Expression[],
  tables: ReadonlyMap<string, readonly (readonly [string, string])[]>,
): readonly Row[] {
  if (first === undefined || second === undefined || !ts.isStringLiteralLike(first) || !first.text.startsWith('ERR_'))
    return []
  const code = first.text
  if (ts.isElementAccessExpression(second)) {
    const table = tables.get(second.expression.getText()) ?? []
    return table.map(([reason, sentence]) => ({ code, reason, sentence, section: '' }))
  }
  const sentence = textOf(second)
  if (sentence === undefined) return []
  return [{ code, reason: reasonIn(rest) ?? '', sentence, section: '' }]
}

/** `new NoVerdictError(cause, SENTENCES[reason], reason)`: its code is in its class. */
function noVerdictRows(
  node: ts.CallExpression | ts.NewExpression,
  tables: ReadonlyMap<string, readonly (readonly [string, string])[]>,
): readonly Row[] {
  if (node.expression.getText() !== 'NoVerdictError') return []
  const table = node.arguments?.map((each) =>
    ts.isElementAccessExpression(each) ? tables.get(each.expression.getText()) : undefined,
  )
  return (table ?? [])
    .flatMap((each) => each ?? [])
    .map(([reason, sentence]) => ({ code: 'ERR_NO_VERDICT', reason, sentence, section: '' }))
}

function objectIn(initializer: ts.Expression | undefined): readonly (readonly [string, string])[] | undefined {
  if (initializer === undefined) return undefined
  const object =
    ts.isAsExpression(initializer) || ts.isSatisfiesExpression(initializer) ? initializer.expression : initializer
  if (!ts.isObjectLiteralExpression(object)) return undefined
  return object.properties.flatMap((property) => {
    if (!ts.isPropertyAssignment(property)) return []
    const sentence = textOf(property.initializer)
    return sentence === undefined ? [] : [[property.name.getText(), sentence] as const]
  })
}

function reasonIn(rest: readonly ts.Expression[]): string | undefined {
  for (const each of rest) {
    if (!ts.isObjectLiteralExpression(each)) continue
    for (const property of each.properties) {
      if (ts.isPropertyAssignment(property) && property.name.getText() === 'reason') return textOf(property.initializer)
    }
  }
  return undefined
}

function textOf(node: ts.Expression): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isBinaryExpression(node)) return undefined
  const [left, right] = [textOf(node.left), textOf(node.right)]
  return left === undefined || right === undefined ? undefined : left + right
}

function uniqueRows(rows: readonly Row[]): readonly Row[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()]
}

function tableOf(rows: readonly Row[]): readonly string[] {
  const told = rows.map((row) => ({ ...row, remedy: row.remedy ?? adviceOn(row.code, row.reason).remedy ?? '' }))
  const columns = [
    { title: '`reason`', cell: ({ reason }: Row) => (reason === '' ? 'none' : `\`${reason}\``) },
    { title: '`message`', cell: ({ sentence }: Row) => sentence },
    { title: 'what to do', cell: ({ remedy = '' }: Row) => remedy },
    { title: 'rule', cell: ({ section }: Row) => section },
  ].filter(({ cell }) => told.some((row) => cell(row) !== ''))
  if (told.length === 0) return []
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(columns.map(({ title }) => title)),
    `|${columns.map(() => '---|').join('')}`,
    ...told.map((row) => line(columns.map(({ cell }) => cell(row).replaceAll('|', '\\|')))),
    '',
  ]
}

if (process.argv[1] === import.meta.filename) writeFileSync(path.join(root, 'docs/errors.md'), errorsPage())
