import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Browser, signIn } from './browser-by-http.js'
import { type Program, startProgram } from './program.js'

const started: Program[] = []

function start(env: Record<string, string> = {}): Program {
  const program = startProgram('start.ts', env, 'tsx')
  started.push(program)
  return program
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((program) => program.stop('SIGKILL')))
})

describe('npm start', () => {
  it('prints where everything is, and nothing else', async () => {
    const demo = start()
    await demo.printed(/Ctrl-C/)
    const lines = demo.stdout.trim().split('\n')
    expect(lines).toHaveLength(8)
    for (const name of ['overview', 'OpenID Provider', 'Shop', 'Forum', 'Notes', 'API']) {
      expect(demo.stdout).toMatch(new RegExp(`^  ${name} +http://127\\.0\\.0\\.1:\\d+$`, 'm'))
    }
    expect(demo.stderr).toBe('')
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'stops cleanly at %s, with an open event stream and a signed-in user',
    async (signal) => {
      const demo = start()
      await demo.printed(/Ctrl-C/)
      const [op = '', shop = ''] = ['overview', 'Shop'].map((name) => demo.stdout.match(`${name} +(http\\S+)`)?.[1])
      const home = await signIn(new Browser(), shop, 'Ada')
      expect(home.status).toBe(200)
      const stream = await fetch(`${op}/events`)
      const streamEnded = stream.text().catch(() => 'cut')

      expect(await demo.stop(signal)).toEqual({ code: 0, signal: null })

      await streamEnded
      expect(demo.stderr).toBe('')
      await expect(fetch(op)).rejects.toThrow()
      await expect(fetch(shop)).rejects.toThrow()
    },
  )

  it('stops cleanly although one Ctrl-C arrives twice, from the terminal and from npm', async () => {
    const demo = start()
    await demo.printed(/Ctrl-C/)
    void demo.stop('SIGINT')
    expect(await demo.stop('SIGINT')).toEqual({ code: 0, signal: null })
  })

  it('says so and ends if its port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const demo = start({ PORT: String(typeof address === 'object' ? address?.port : '') })
    expect(await demo.ended).toEqual({ code: 1, signal: null })
    expect(demo.stderr).toContain('EADDRINUSE')
    taken.close()
  })
})
