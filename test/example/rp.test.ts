import { afterEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createOp, type Op } from '../../example-app/op.js'
import { Browser, logOutAtOp, signIn, whoIsAt } from './browser-by-http.js'
import { type Program, startProgram } from './program.js'

const programs: Program[] = []
const listenings: Listening[] = []

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.stop('SIGKILL')))
  await Promise.all(listenings.splice(0).map((listening) => listening.close()))
})

const SECRETS = { CLIENT_ID: 'my rp: 1', CLIENT_SECRET: 'a secret: + %2F', SESSION_SECRET: 'another secret' }

function startRp(env: Record<string, string>, how?: 'tsx'): Program {
  const program = startProgram('rp.ts', { PORT: '0', ...env }, how)
  programs.push(program)
  return program
}

async function startOp(): Promise<{ op: Op; issuer: string }> {
  const listening = await listen(0)
  listenings.push(listening)
  const op = await createOp({ issuer: listening.url })
  listening.server.on('request', op.app)
  return { op, issuer: listening.url }
}

async function urlOf(rp: Program): Promise<string> {
  const [, url = ''] = await rp.printed(/^listening on (http:\/\/127\.0\.0\.1:\d+)\n/)
  return url
}

async function startBoth(how?: 'tsx'): Promise<{ issuer: string; url: string; rp: Program }> {
  const { op, issuer } = await startOp()
  const rp = startRp({ ISSUER: issuer, ...SECRETS }, how)
  const url = await urlOf(rp)
  await op.register({ clientId: SECRETS.CLIENT_ID, clientSecret: SECRETS.CLIENT_SECRET, name: 'RP', baseUrl: url })
  return { issuer, url, rp }
}

describe('npm run rp', () => {
  it('signs in and is logged out by the OP, configured by the environment alone', async () => {
    const { issuer, url, rp } = await startBoth('tsx')
    const [ada, adaElsewhere] = [new Browser(), new Browser()]
    expect(await whoIsAt(ada, url)).toEqual({ status: 401 })
    await signIn(ada, url, 'Ada')
    await signIn(adaElsewhere, url, 'Ada')
    const old = ada.copy()
    expect(await whoIsAt(ada, url)).toEqual({ status: 200, sub: 'ada', sid: expect.any(String) })

    await logOutAtOp(ada, issuer)

    expect(await whoIsAt(old, url)).toEqual({ status: 401 })
    expect(await whoIsAt(adaElsewhere, url)).toMatchObject({ status: 200, sub: 'ada' })
    await signIn(ada, url, 'Ada')
    expect(await whoIsAt(ada, url)).toMatchObject({ status: 200, sub: 'ada' })
    expect(await whoIsAt(old, url)).toEqual({ status: 401 })
    expect(rp.stdout).toBe(`listening on ${url}\n`)
    expect(rp.stderr).toBe('')
    expect(await rp.stop('SIGINT')).toEqual({ code: 0, signal: null })
  })

  it('keeps old cookies dead after its own POST /logout', async () => {
    const { url } = await startBoth()
    const ada = new Browser()
    await signIn(ada, url, 'Ada')
    const old = ada.copy()
    await ada.post(`${url}/logout`)
    expect(await whoIsAt(old, url)).toEqual({ status: 401 })
  })

  it('starts before its OP does, and finds it at the first sign-in', async () => {
    const opListening = await listen(0)
    listenings.push(opListening)
    const { url: issuer, server } = opListening
    server.on('request', (_req, res) => {
      if (server.listenerCount('request') === 1) res.writeHead(503).end()
    })
    const url = await urlOf(startRp({ ISSUER: issuer, ...SECRETS }))
    const ada = new Browser()
    expect((await ada.get(`${url}/login`)).status).toBe(503)

    const op = await createOp({ issuer })
    server.on('request', op.app)
    await op.register({ clientId: SECRETS.CLIENT_ID, clientSecret: SECRETS.CLIENT_SECRET, name: 'RP', baseUrl: url })
    await signIn(ada, url, 'Ada')
    expect(await whoIsAt(ada, url)).toMatchObject({ status: 200, sub: 'ada' })
  })

  it('tells its operator why nobody can sign in', async () => {
    const { issuer, op } = await startOp()
    const rp = startRp({ ISSUER: issuer, ...SECRETS })
    const url = await urlOf(rp)
    await op.register({ clientId: SECRETS.CLIENT_ID, clientSecret: 'another one', name: 'RP', baseUrl: url })
    const page = await signIn(new Browser(), url, 'Ada')
    expect(page.status).toBe(400)
    await rp.stop()
    expect(rp.stderr).toMatch(/^sign-in failed: .+ \(401\)\n$/)
  })

  it('tells its operator by which rule a Logout Token was refused, and nothing of the token', async () => {
    const { url, rp } = await startBoth()
    const body = new URLSearchParams({ logout_token: 'c2VjcmV0.c2VjcmV0.c2VjcmV0' })
    expect((await fetch(`${url}/backchannel-logout`, { method: 'POST', body })).status).toBe(400)
    await rp.stop()
    expect(rp.stderr).toMatch(/^refused: .+ \(ERR_TOKEN, \w+\)\n$/)
    expect(rp.stderr).not.toContain('c2VjcmV0')
  })

  it.each(['ISSUER', 'CLIENT_ID', 'CLIENT_SECRET', 'SESSION_SECRET'])('ends and says so without %s', async (name) => {
    const env: Record<string, string> = { ISSUER: 'https://op.example', ...SECRETS }
    delete env[name]
    const rp = startRp(env)
    expect(await rp.ended).toEqual({ code: 1, signal: null })
    expect(rp.stderr).toContain(`${name} is missing`)
    expect(rp.stderr).not.toContain('    at ')
  })

  it('does not trust an issuer without TLS that is not on loopback', async () => {
    const rp = startRp({ ISSUER: 'http://op.example', ...SECRETS })
    expect(await rp.ended).toEqual({ code: 1, signal: null })
    expect(rp.stderr).toContain('loopback')
  })

  it.each(['65536', 'x'])('does not take the port %s', async (PORT) => {
    const rp = startRp({ ISSUER: 'https://op.example', ...SECRETS, PORT })
    expect(await rp.ended).toEqual({ code: 1, signal: null })
    expect(rp.stderr).toContain('PORT must be')
  })
})
