// Every TypeScript block of the documentation compiles against the built package, as a reader would paste it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const documents = ['README.md', ...markdownUnder('docs')]

function markdownUnder(folder: string): readonly string[] {
  if (!existsSync(path.join(root, folder))) return []
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join(folder, file))
}

interface Block {
  readonly file: string
  readonly source: string
}

/** What the reader is told to bring: everything else a block uses, it must declare or import. */
const BROUGHT_BY_THE_READER = `
declare function finishLogin(req: unknown): Promise<{ claims(): { iss: string; sub: string } & Record<string, unknown>; access_token: string; id_token?: string }>
`

function blocksOf(document: string): readonly Block[] {
  const text = readFileSync(path.join(root, document), 'utf8')
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ''], index) => ({
    file: path.join(root, 'test', 'docs', `${document.replaceAll(/\W/g, '_')}_${index}.ts`),
    source: `${code}\nexport {}\n${code.includes('finishLogin') ? BROUGHT_BY_THE_READER : ''}`,
  }))
}

/** All blocks are one program: the libraries are parsed once. Each is a module, so none knows of another. */
function compiled(blocks: readonly Block[]): ReadonlyMap<string, readonly string[]> {
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      target: 'ES2022',
      lib: ['ES2023', 'DOM'],
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
    },
    root,
  )
  const sources = new Map(blocks.map(({ file, source }) => [file, source]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (file) => sources.has(file) || fileExists(file)
  host.readFile = (file) => sources.get(file) ?? readFile(file)
  host.getSourceFile = (file, language, ...rest) => {
    const source = sources.get(file)
    return source === undefined ? getSourceFile(file, language, ...rest) : ts.createSourceFile(file, source, language)
  }
  const program = ts.createProgram([...sources.keys()], options, host)
  const general = [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics()]
  if (general.length > 0) throw new Error(general.map(wordsOf).join('\n'))
  return new Map(
    blocks.map(({ file }) => {
      const source = program.getSourceFile(file)
      const errors = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      return [file, errors.map((each) => `${path.basename(file)}: ${wordsOf(each)}`)]
    }),
  )
}

const wordsOf = ({ messageText }: ts.Diagnostic) => ts.flattenDiagnosticMessageText(messageText, '\n')

const BROKEN: Block = {
  file: path.join(root, 'test', 'docs', 'broken.ts'),
  source: "import { createBackchannelLogout } from 'oidc-backchannel-logout'\ncreateBackchannelLogout({})",
}

describe('the documentation', () => {
  it('has code in the README: a whole program, which test/stacks runs, and the shared store', () => {
    expect(readFileSync(path.join(root, 'README.md'), 'utf8')).toMatch(/^```js app\.mjs\n/m)
    expect(blocksOf('README.md').length).toBeGreaterThanOrEqual(1)
  })

  const errors = compiled([...documents.flatMap(blocksOf), BROKEN])

  it.each(documents)('%s: every TypeScript block compiles', (document) => {
    expect(blocksOf(document).flatMap(({ file }) => errors.get(file))).toEqual([])
  })

  it('would notice a block that does not compile', () => {
    expect(errors.get(BROKEN.file)).toEqual([expect.stringMatching(/^broken\.ts: .*provider/s)])
  })

  it('links to files that are there', () => {
    const missing = documents.flatMap((document) =>
      [...readFileSync(path.join(root, document), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map(([, target = '']) => path.join(path.dirname(document), target))
        .filter((target) => !existsSync(path.join(root, target))),
    )
    expect(missing).toEqual([])
  })
})
