// The page of options has a row for each that there is, and for none that there is not.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

/** The names that a factory takes: the type of the list demands each of its options. */
function namesIn(file: string, type: string): readonly string[] {
  const [, list = ''] = new RegExp(`OptionNames<${type}> = {([^}]*)}`).exec(read(file)) ?? []
  return [...list.matchAll(/(\w+): true/g)].map(([, name = '']) => name)
}

/** The names in the first column of the tables, in the part of the page that a sentence begins. */
function rowsOf(part: string): readonly string[] {
  const rows = [...part.matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm)].map(([, cell = '']) => cell)
  return rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name))
}

describe('docs/options.md', () => {
  const [ofReceiver = '', ofProvider = ''] = read('docs/options.md').split(/^Options of a provider\./m)

  it.each([
    ['the receiver', ofReceiver, 'src/options.ts', 'BackchannelLogoutOptions'],
    ['a provider', ofProvider, 'src/providers/provider-options.ts', 'ProviderOptions'],
  ])('has the options of %s, each once', (_, part, file, type) => {
    const names = namesIn(file, type)
    expect(names.length).toBeGreaterThan(10)
    expect(rowsOf(part).toSorted()).toEqual(names.toSorted())
  })
})
