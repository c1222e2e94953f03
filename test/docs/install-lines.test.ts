// Each recipe begins with what to install, types included: held against what its programs import.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesOf, RECIPES, recipes } from '../stacks/recipe.js'

/** What a framework needs beside it and no program imports. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  '@nestjs/core': ['rxjs'],
}
/** Comes with the project in which the recipe's files are put, or with the adapter that is compiled for it. */
const FROM_THE_START: Readonly<Record<string, readonly string[]>> = {
  nextjs: ['next', 'react', '@types/react'],
  nestjs: ['express'],
  'nestjs-fastify': ['fastify'],
}

const root = path.resolve(import.meta.dirname, '../..')
/** Packages whose types are in a package of their own: those that are installed so here. */
const TYPED_APART = ['package.json', 'test/frameworks/package.json'].flatMap((file) => {
  const manifest = JSON.parse(readFileSync(path.join(root, file), 'utf8'))
  return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((name) =>
    name.startsWith('@types/'),
  )
})

const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

const importsIn = (code: string) =>
  [...code.matchAll(/(?:\bfrom|\bimport|declare module)\s*\(?\s*'([^'.][^']*)'/g)]
    .map(([, specifier = '']) => specifier)
    .filter((specifier) => !specifier.startsWith('node:'))
    .map(packageOf)

/** Of the shared login only the settings are used where no function of it is. */
function imported(recipe: string): readonly string[] {
  const code = filesOf(recipe).map((file) => file.code)
  const usesLogin = code.some((each) => /\bstartLogin\b.*'\.\/login\.js'/.test(each))
  return [...code, ...(usesLogin ? filesOf('login').map((file) => file.code) : [])].flatMap(importsIn)
}

function installed(recipe: string): ReadonlySet<string> {
  const text = readFileSync(path.join(RECIPES, `${recipe}.md`), 'utf8')
  const lines = [...text.matchAll(/^npm install (?:--save-dev )?(.+)$/gm)].map(([, names = '']) => names)
  return new Set(lines.flatMap((line) => line.split(' ')).map((name) => name.replace(/(?<=.)@.*$/, '')))
}

function needed(recipe: string): ReadonlySet<string> {
  const names = imported(recipe)
  const types = names.map((name) => `@types/${name}`).filter((name) => TYPED_APART.includes(name))
  return new Set([...names, ...types])
}

describe('the install lines of the recipes', () => {
  it.each(recipes().filter((name) => name !== 'README'))(
    '%s: what its programs import is installed, and nothing else',
    (recipe) => {
      const text = readFileSync(path.join(RECIPES, `${recipe}.md`), 'utf8')
      expect(text.indexOf('```sh\nnpm install ')).toBe(text.indexOf('```'))
      const start = FROM_THE_START[recipe] ?? []
      const lines = installed(recipe)
      const must = needed(recipe)
      expect([...must].filter((name) => !lines.has(name) && !start.includes(name))).toEqual([])
      const beside = [...lines].flatMap((name) => BESIDE[name] ?? [])
      expect([...lines].filter((name) => !must.has(name) && !beside.includes(name))).toEqual([])
    },
  )
})
