// Every file of a recipe compiles, each recipe by itself, as a reader would have it: with `strict` and without.
import { rmSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { filesOf, unpack } from './recipe.js'

/** The libraries' declarations are the same for all recipes, and parsing them takes longer than all else. */
function cachingHost(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options)
  const parsed = new Map<string, ts.SourceFile | undefined>()
  return {
    ...host,
    getSourceFile(file, ...how) {
      if (!parsed.has(file)) parsed.set(file, host.getSourceFile(file, ...how))
      return parsed.get(file)
    },
  }
}

export interface Compilation {
  readonly tsconfig: string
  readonly strict?: boolean
  /** Where the programs lie, if not beside the repository's own packages. */
  readonly programs?: string
}

function compiler({ tsconfig, programs, strict = true }: Compilation) {
  const { config } = ts.readConfigFile(tsconfig, ts.sys.readFile)
  const settings = ts.parseJsonConfigFileContent(config, ts.sys, path.dirname(tsconfig)).options
  // A project that was begun long ago has neither `strict` nor what this repository asks beyond it.
  const options = strict ? settings : { ...settings, strict, exactOptionalPropertyTypes: false }
  const host = cachingHost(options)
  return (recipe: string, change?: (code: string) => string): readonly string[] => {
    const folder = unpack(recipe, change, programs)
    try {
      const files = filesOf(recipe).map(({ name }) => path.join(folder, name))
      const program = ts.createProgram(files, options, host)
      return program
        .getSourceFiles()
        .filter(({ fileName }) => fileName.startsWith(folder))
        .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
        .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

export function describeRecipeTypes(recipes: readonly string[], compilation: Compilation): void {
  describe('the types of the recipes', () => {
    const errorsOf = compiler(compilation)

    it.each(recipes)('%s compiles', (recipe) => {
      expect(errorsOf(recipe)).toEqual([])
    })

    const unstrict = compiler({ ...compilation, strict: false })

    it.each(recipes)('%s compiles with strict: false', (recipe) => {
      expect(unstrict(recipe)).toEqual([])
    })

    it('would not compile with a word of the API misspelt', () => {
      const [recipe = ''] = recipes
      expect(
        errorsOf(recipe, (code) => code.replace('createBackchannelLogout({', 'createBackchannelLogin({')),
      ).not.toEqual([])
    })
  })
}
