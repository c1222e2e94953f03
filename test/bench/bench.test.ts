// That the bench runs and says what it measured; how fast anything is, no test can promise.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Build, build } from '../../bench/build.js'
import { quantile } from '../../bench/http-load.js'
import type { ReceiverProcess } from '../../bench/receiver-process.js'
import { Remote } from '../../bench/remote.js'
import { median, medianRatio, verdict } from '../../bench/report.js'
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

const target = { name: 'a ratio', unit: 'ratio', atLeast: 0.9, aim: 0.7 }

describe('the bench', () => {
  it('measures the whole job of every receiver, writes it with the versions, and leaves nothing behind', async () => {
    const before = builds()
    const directory = mkdtempSync(path.join(tmpdir(), 'bench-'))
    const file = path.join(directory, 'result.json')
    const args = ['bench/main.ts', '--quick', '--only', 'whole-job', '--out', file]
    const { stdout } = await promisify(execFile)(tsx, args, { cwd: root })
    const result = JSON.parse(readFileSync(file, 'utf8'))
    rmSync(directory, { recursive: true })

    expect(result.versions).toMatchObject({ node: process.version, jose: expect.stringMatching(/^\d+\./) })
    const [{ tables, targets }] = result.sections
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
    expect(targets.map(({ measured }: { measured: number }) => measured > 0)).toEqual([true, true])
    expect(stdout).toContain('whole job vs floor, CPU per request (ratio)')
    expect(builds()).toEqual(before)
  }, 120_000)

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
    rmSync(directory, { recursive: true })
    expect(machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number), loadBefore: expect.any(Array) })
    const [{ rows }] = against.comparisons
    expect(rows.map(({ name, verdict }: { name: string; verdict: string }) => [name, verdict])).toEqual(
      ['SET NX EX', 'store call of a logout', 'logout (terminate)', 'a script of a logout'].map((name) => [
        name,
        'not judged',
      ]),
    )
    expect(rows.every(({ ratio }: { ratio: { median: number } }) => ratio.median > 0)).toBe(true)
    expect(builds()).toEqual(before)
  }, 120_000)
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

describe('its arithmetic', () => {
  it('takes medians and quantiles', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(quantile([5, 4, 3, 2, 1], 0.5)).toBe(3)
    expect(quantile([5, 4, 3, 2, 1], 0.99)).toBe(5)
  })

  it('takes ratios round by round, so that a slow round slows both', () => {
    expect(medianRatio([1, 10, 2], [2, 20, 1])).toBe(0.5)
  })

  it('says whether a target is reached, in either direction', () => {
    expect([0.6, 0.8, 1].map((measured) => verdict({ ...target, measured }))).toEqual(['aim reached', 'met', 'missed'])
    const more = { ...target, atLeast: 50, aim: 100, larger: true }
    expect([100, 60, 40].map((measured) => verdict({ ...more, measured }))).toEqual(['aim reached', 'met', 'missed'])
    expect(verdict({ ...target, measured: Number.NaN })).toBe('missed')
  })
})
