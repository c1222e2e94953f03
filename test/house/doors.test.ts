// The doors for those who contribute: short, true of the tree, and safe to run.
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { files, read } from './repository.js'

describe('the doors for contributors', () => {
  it('CONTRIBUTING.md is read in a minute: less than 60 lines', () => {
    expect(read('CONTRIBUTING.md').trimEnd().split('\n').length).toBeLessThan(60)
  })

  it('every action of the workflows is pinned by the hash of a commit', () => {
    const workflows = readdirSync('.github/workflows').map((name) => `.github/workflows/${name}`)
    const used = workflows.flatMap((file) =>
      [...read(file).matchAll(/\buses: *(\S+)/g)].map(([, action = '']) => action),
    )
    expect(used).not.toEqual([])
    expect(used.filter((action) => !action.startsWith('./') && !/@[0-9a-f]{40}$/.test(action))).toEqual([])
  })

  it('Dependabot looks after each folder that has packages of its own', () => {
    const folders = ['package.json', 'docs-site/package.json', ...files]
      .filter((file) => /(^|\/)package\.json$/.test(file))
      .map((file) => `/${file.replace(/\/?package\.json$/, '')}`)
    expect(folders).toContain('/test/frameworks')
    const listed = [...read('.github/dependabot.yml').matchAll(/^ +- (\/\S*)$/gm)].map(([, folder]) => folder)
    expect(listed.sort()).toEqual(folders.sort())
  })
})
