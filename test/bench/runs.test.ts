// That the bench runs and says what it measured; how fast anything is, no test can promise. Run by `npm run test:bench`,
// apart from `npm test`: it compiles two trees and puts load on six receivers.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Build, build } from '../../bench/build.js'
import type { ReceiverProcess } from '../../bench/receiver-process.js'
import { Remote } from '../../bench/remote.js'
import { removeFolder } from '../servers/folders.js'
import { startPostgres } from '../servers/postgres.js'
import { startRedis } from '../servers/redis.js'

const root = path.resolve(import.meta.dirname, '../..')
const tsx = path.join(root, 'node_modules/.bin/tsx')

/** What runs of the bench compile, for as long as they last. */
function builds(): readonly string[] {
  const results = path.join(root, 'bench/results')
  mkdirSync(results, { recursive: true })
  return readdirSync(results).filter((name) => name.startsWith('build-'))
}

describe('the bench', () => {
  it('measures the whole job of every receiver, the start and followers, writes it with the versions, and leaves nothing behind', async () => {
    const before = builds()
    const directory = mkdtempSync(path.join(tmpdir(), 'bench-'))
    const file = path.join(directory, 'result.json')
    const args = ['bench/main.ts', '--quick', '--only', 'whole-job,start,nodes', '--out', file]
    const { stdout } = await promisify(execFile)(tsx, args, { cwd: root })
    const result = JSON.parse(readFileSync(file, 'utf8'))
    removeFolder(directory)

    expect(result.versions).toMatchObject({ node: process.version, jose: expect.stringMatching(/^\d+\./) })
    const [{ tables, targets }, start, nodes] = result.sections
    const rows: (string | number)[][] = tables[0].rows
    expect(rows.map(([receiver]) => receiver)).toEqual([
      'floor: Express, urlencoded, jwtVerify',
      'express-openid-connect',
      'ours, memory',
      'ours, memory, without Express',
      'ours, Redis',
      'ours, PostgreSQL',
    ])
    for (const figure of rows.flatMap(([, ...figures]) => figures)) expect(figure).toBeGreaterThan(0)
    expect(targets.map(({ measured }: { measured: number }) => measured > 0)).toEqual([true, true, true, true])
    expect(start.targets.map(({ measured }: { measured: number }) => measured > 0)).toEqual([true])
    expect(nodes.tables.map(({ title }: { title: string }) => title)).toEqual(
      ['Redis', 'PostgreSQL'].flatMap((store) => [
        `${store}: nodes that follow the log, measured`,
        `${store}: 2 nodes, as fitted to fewer and as measured`,
        `${store}: more nodes, by the model`,
      ]),
    )
    for (const of of [0, 3]) {
      const [byRate, check, more] = nodes.tables.slice(of, of + 3)
      expect(byRate.rows.map(([, count]: string[]) => count)).toEqual(Array(3).fill(['0', '1', '2']).flat())
      for (const [, cpu] of byRate.rows.map((row: number[]) => row.slice(1))) expect(cpu).toBeGreaterThan(0)
      for (const [, , model, measured] of check.rows) expect(Math.min(model, measured)).toBeGreaterThan(0)
      expect(more.rows.map(([, count]: string[]) => count)).toEqual(Array(3).fill(['10', '100', '300']).flat())
    }
    expect(stdout).toContain('whole job vs floor, CPU per request (ratio)')
    expect(builds()).toEqual(before)
  })

  it('refuses sections and rounds that it does not know', async () => {
    const run = (...args: string[]) => promisify(execFile)(tsx, ['bench/main.ts', ...args], { cwd: root })
    await expect(run('--only', 'no-such-section')).rejects.toMatchObject({ code: 2 })
    await expect(run('--rounds', '0')).rejects.toMatchObject({ code: 2 })
    await expect(run('--against', 'HEAD', '--only', 'scale')).rejects.toMatchObject({ code: 2 })
  })
})

describe('--against', () => {
  it('measures an earlier commit and this tree in the same rounds, names the machine, and does not judge so few', async () => {
    const before = builds()
    const directory = mkdtempSync(path.join(tmpdir(), 'bench-'))
    const file = path.join(directory, 'result.json')
    const args = ['bench/main.ts', '--quick', '--only', 'redis', '--against', 'HEAD', '--rounds', '2', '--out', file]
    await expect(promisify(execFile)(tsx, args, { cwd: root })).rejects.toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/ cores, .*now \/ before.*Nothing is judged where others used more than/s),
    })
    const { machine, against } = JSON.parse(readFileSync(file, 'utf8'))
    removeFolder(directory)
    expect(machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number), loadBefore: expect.any(Array) })
    const [{ rows }] = against.comparisons
    expect(rows.map(({ name, verdict }: { name: string; verdict: string }) => [name, verdict])).toEqual(
      ['SET NX EX', 'store call of a logout', 'logout (terminate)', 'login (bind)', 'a script of a logout'].map(
        (name) => [name, 'not judged'],
      ),
    )
    expect(rows.every(({ ratio }: { ratio: { median: number } }) => ratio.median > 0)).toBe(true)
    expect(builds()).toEqual(before)
  })
})

describe('a process of the bench', () => {
  let built: Build
  beforeAll(() => {
    built = build()
  })
  afterAll(() => built.remove())

  it.each([
    ['ours, PostgreSQL', startPostgres],
    ['ours, Redis', startRedis],
  ] as const)('lives on where the server of "%s" is stopped', async (name, startServer) => {
    const server = await startServer()
    const receiver = Remote.start<ReceiverProcess>(built.file('receiver-process.ts'))
    try {
      const context = { issuer: 'http://127.0.0.1:1', redisUrl: server.url, postgresUrl: server.url }
      await receiver.call('start', { name, context })
      await server.stop()
      expect(await receiver.call('measured', undefined)).toBeGreaterThan(0)
      await expect(receiver.call('remaining', undefined)).rejects.toThrow(/ECONNREFUSED|offline/)
      expect(await receiver.call('measured', undefined)).toBeGreaterThan(0)
    } finally {
      receiver.stop()
    }
  })
})
