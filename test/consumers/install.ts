// A clean folder far from the repository, with what is locked here and the packed tarball, both installed by npm as a
// user would.
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { removeFolder } from '../servers/folders.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder with `node_modules`; each project lies below it. */
    readonly consumers: string
  }
}

const exec = promisify(execFile)
const root = path.resolve(import.meta.dirname, '../..')
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

export async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'oidc-backchannel-logout-consumers-'))
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    cpSync(path.join(import.meta.dirname, file), path.join(folder, file))
  }
  await exec('npm', ['ci', ...QUIET], { cwd: folder })
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const { stdout } = await exec('npm', pack, { cwd: root })
  const [{ filename }] = JSON.parse(stdout)
  await exec('npm', ['install', '--no-save', ...QUIET, path.join(folder, filename)], { cwd: folder })
  project.provide('consumers', folder)
  return () => removeFolder(folder)
}
