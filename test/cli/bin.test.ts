// The program as npm installs it: executable text, a help page, and exit codes that a shell sees.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const program = path.join(root, bin['oidc-backchannel-logout'])

describe('npx oidc-backchannel-logout', () => {
  it('is a Node program', () => {
    expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  })

  it('helps, without a colour where there is no terminal', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, '--help'])
    expect(stdout).toMatch(/doctor <issuer>[\s\S]+send <url>[\s\S]+replay <file>/)
    expect(stdout).not.toContain('\u001b')
  })

  it('ends with 2 for what it does not know', async () => {
    await expect(promisify(execFile)(process.execPath, [program, 'frobnicate'])).rejects.toMatchObject({ code: 2 })
  })
})
