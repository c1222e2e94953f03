// The packed tarball, used as a stranger would: from an ESM project and by require().
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { removeFolder } from '../servers/folders.js'

const root = path.resolve(import.meta.dirname, '../..')
let project: string

/** Installed by hand, so that the test needs no registry: the tarball unpacked, its dependencies linked beside it. */
beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'oidc-backchannel-logout-consumer-'))
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: root,
      encoding: 'utf8',
    }),
  )
  const modules = path.join(project, 'node_modules')
  const unpacked = path.join(modules, 'oidc-backchannel-logout')
  mkdirSync(unpacked, { recursive: true })
  execFileSync('tar', ['-xzf', path.join(project, packed.filename), '-C', unpacked, '--strip-components=1'])
  for (const dependency of ['jose', 'lru-cache', 'oauth4webapi']) {
    symlinkSync(path.join(root, 'node_modules', dependency), path.join(modules, dependency))
  }
})

afterAll(() => removeFolder(project))

function run(file: string, source: string): string {
  writeFileSync(path.join(project, file), source)
  return execFileSync(process.execPath, [file], { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

const USE = `
  const logout = createBackchannelLogout({ provider: { issuer: 'https://op.example.com', clientId: 'my-rp' } })
  logout.fetch(new Request('http://127.0.0.1/', { method: 'POST' })).then(async (answer) => {
    const { issuer } = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'my-rp', now: () => 0 })
    console.log(answer.status, (await answer.json()).error, issuer)
  })`

describe('the packed tarball', () => {
  it('works from a fresh ESM project', () => {
    const source = `
      import { createBackchannelLogout } from 'oidc-backchannel-logout'
      import { createTokenMint } from 'oidc-backchannel-logout/testing'
      ${USE}`
    expect(run('use.mjs', source)).toBe('400 invalid_request https://op.example.com\n')
  })

  it('works by require()', () => {
    const source = `
      const { createBackchannelLogout } = require('oidc-backchannel-logout')
      const { createTokenMint } = require('oidc-backchannel-logout/testing')
      ${USE}`
    expect(run('use.cjs', source)).toBe('400 invalid_request https://op.example.com\n')
  })

  it('has every subpath of its exports, each with its types', async () => {
    const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
    const unpacked = path.join(project, 'node_modules', 'oidc-backchannel-logout')
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    )
    expect(targets.filter((target) => !existsSync(path.join(unpacked, target)))).toEqual([])
  })

  it('has every page that its pages link to', () => {
    const unpacked = path.join(project, 'node_modules', 'oidc-backchannel-logout')
    const pages = readdirSync(unpacked, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.md'))
    const broken = pages.flatMap((page) =>
      [...readFileSync(path.join(unpacked, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map(([, target = '']) => path.join(path.dirname(page), target))
        .filter((target) => !existsSync(path.join(unpacked, target)))
        .map((target) => `${page} -> ${target}`),
    )
    expect(pages).toContain('README.md')
    expect(broken).toEqual([])
  })

  it('ships no tests, no example and nothing else by accident', () => {
    const unpacked = path.join(project, 'node_modules', 'oidc-backchannel-logout')
    expect(readdirSync(unpacked).sort()).toEqual(
      [
        ...['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md'],
        ...['dist', 'docs', 'package.json', 'src'],
      ].sort(),
    )
  })
})
