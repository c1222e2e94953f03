// Files that one reads at one sitting. A longer one is named by docs/design.md, with the reason for which it was left.
import { expect, it } from 'vitest'
import { filesUnder, read } from './repository.js'

const LONGEST = 350

it('no source is long without a reason, and no reason outlives its file', () => {
  const long = filesUnder('src')
    .filter((file) => file.endsWith('.ts') && !file.includes('/generated/'))
    .filter((file) => read(file).trimEnd().split('\n').length > LONGEST)
  const [, table = ''] = /^## Long files$([\s\S]*)/m.exec(read('docs/design.md')) ?? []
  const named = [...table.matchAll(/^\| `(src\/[^`]+)` \| .{20}/gm)].map(([, file]) => file)
  expect(long.toSorted()).toEqual(named.toSorted())
})
