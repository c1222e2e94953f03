// Every file of every recipe compiles in strict mode, each recipe by itself, as a reader would have it.
import { rmSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { filesOf, recipes, TSCONFIG, unpack } from './recipe.js'

const SHIMS = [path.join(import.meta.dirname, 'passport-openidconnect.d.ts')]

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(TSCONFIG, ts.sys.readFile)
  return ts.parseJsonConfigFileContent(config, ts.sys, path.dirname(TSCONFIG)).options
}

const options = compilerOptions()
const host = cachingHost(options)

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

function errorsOf(recipe: string, change?: (code: string) => string): readonly string[] {
  const folder = unpack(recipe, change)
  try {
    const files = filesOf(recipe).map(({ name }) => path.join(folder, name))
    const program = ts.createProgram([...files, ...SHIMS], options, host)
    return program
      .getSourceFiles()
      .filter(({ fileName }) => fileName.startsWith(folder))
      .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
      .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the recipes', () => {
  it.each(recipes())('%s compiles', (recipe) => {
    expect(errorsOf(recipe)).toEqual([])
  })

  it('would not compile with a word of the API misspelt', () => {
    expect(errorsOf('express-session', (code) => code.replace('logout.bind(', 'logout.bnd('))).not.toEqual([])
  })
})
