// The test of an API that docs/testing.md gives, run as it stands; its tests of applications are run under each runner
// by test/consumers.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { linkPackage } from '../servers/compiled.js'
import { removeFolder } from '../servers/folders.js'

const PROGRAMS = path.join(import.meta.dirname, '.programs')
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder)
})

function program(): string {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/testing.md'), 'utf8')
  const [, code] = /^```js\n(\/\/ api\.test\.mjs, for node --test\n[\s\S]*?)^```$/m.exec(page) ?? []
  if (code === undefined) throw new Error('docs/testing.md has no api.test.mjs any more')
  return code
}

function run(code: string): Promise<{ readonly failed: boolean; readonly output: string }> {
  mkdirSync(PROGRAMS, { recursive: true })
  const cwd = mkdtempSync(path.join(PROGRAMS, 'testing-page-'))
  folders.push(cwd)
  linkPackage(cwd)
  writeFileSync(path.join(cwd, 'api.test.mjs'), code)
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, HOME: cwd }
    execFile(process.execPath, ['--test', 'api.test.mjs'], { cwd, env }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: `${stdout}${stderr}` })
    })
  })
}

describe('the test of an API in docs/testing.md', () => {
  it('passes', async () => {
    const { failed, output } = await run(program())
    expect(output).toMatch(/pass 1\b/)
    expect(failed).toBe(false)
  })

  it('fails where the API asks another store than the one that hears of logouts', async () => {
    const mistaken = program().replace('createJwtCheck({ store })', 'createJwtCheck({ store: memoryStore() })')
    expect(mistaken).not.toBe(program())
    const { failed, output } = await run(mistaken)
    expect(output).toMatch(/fail 1\b/)
    expect(failed).toBe(true)
  })
})
