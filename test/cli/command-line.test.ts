// The command line by itself: each command says how it is used, to whoever asks, and ends with 0.
import { describe, expect, it } from 'vitest'
import { run } from './run.js'

describe('the help', () => {
  it.each(['doctor', 'send', 'replay'])('of %s is its own usage', async (command) => {
    for (const asked of ['--help', '-h']) {
      const { code, out, err } = await run([command, asked])
      expect(out.match(/^ {2}\w+ </gm)).toEqual([`  ${command} <`])
      expect(out).toContain('Ends with 0 if all is right')
      expect({ code, err }).toEqual({ code: 0, err: '' })
    }
  })

  it('of a command is given also where the rest of the line is wrong', async () => {
    const { code, out } = await run(['send', 'http://127.0.0.1:9/', '--what', '--help'])
    expect(out).toMatch(/^ {2}send <url>/)
    expect(code).toBe(0)
  })

  it('of send says how long an application is waited for', async () => {
    const { out } = await run(['send', '--help'])
    expect(out).toMatch(/it waits 60 s for your application: start this command first/)
  })

  it.each(['--help', '-h', 'help'])('of the whole, by %s, has every command', async (asked) => {
    const { code, out } = await run([asked])
    expect(out.match(/^ {2}\w+ </gm)).toEqual(['  doctor <', '  send <', '  replay <'])
    expect(code).toBe(0)
  })
})
