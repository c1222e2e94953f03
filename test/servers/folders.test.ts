import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { removeFolder } from './folders.js'

const notEmpty = Object.assign(new Error('directory not empty'), { code: 'ENOTEMPTY' })

it('removes what was written while it removed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bcl-folders-'))
  const late = vi.fn<typeof rmSync>(rmSync).mockImplementationOnce(() => {
    writeFileSync(join(folder, 'late'), '')
    throw notEmpty
  })
  removeFolder(folder, late)
  expect(existsSync(folder)).toBe(false)
})

it('says what stays, and throws nothing', () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  removeFolder('/nowhere', () => {
    throw notEmpty
  })
  expect(said).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('/nowhere could not be removed'))
  said.mockRestore()
})
