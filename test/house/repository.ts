// The texts of the repository, for tests that read them.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../..')
const ROOMS = ['src', 'test', 'bench', 'example-app', 'scripts', 'docs']
const PAGES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
const TEXT = /\.(?:ts|js|mjs|lua|sql|md|json|ya?ml|html|css)$/

/** What is installed, hidden, or written by another test (`page-*`) or by the bench (`results`) is nobody's prose. */
const FOREIGN = /^(?:node_modules|\..*|page-.*|results|package-lock\.json)$/

export function filesUnder(folder: string): readonly string[] {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => !FOREIGN.test(name))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name)
      return entry.isDirectory() ? filesUnder(file) : TEXT.test(file) ? [file] : []
    })
}

export const files: readonly string[] = [...PAGES, ...ROOMS.flatMap(filesUnder)]
export const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')
