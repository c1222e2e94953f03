// The recipes whose frameworks are installed here, and how each is built and started: by its own tools, from the packed
// package.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { type RunningProgram, type RunOptions, run, stopped } from '../stacks/recipe.js'
import type { StackOptions } from '../stacks/stack.js'

const here = import.meta.dirname
const bin = (name: string) => path.join(here, 'node_modules', '.bin', name)
export const HERE = { programs: path.join(here, '.programs'), tsconfig: path.join(here, 'tsconfig.frameworks.json') }

/** As `nest new` sets TypeScript up, for ESM. */
const NEST_TSCONFIG = {
  compilerOptions: {
    target: 'ES2023',
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    outDir: 'dist',
    rootDir: '.',
    types: ['node'],
  },
  include: ['*.ts'],
}

/** Compiled by tsc, since decorators need the metadata that only it emits; then run as JavaScript. */
async function runCompiled(options: RunOptions): Promise<RunningProgram> {
  writeFileSync(path.join(options.folder, 'package.json'), JSON.stringify({ type: 'module' }))
  writeFileSync(path.join(options.folder, 'tsconfig.json'), JSON.stringify(NEST_TSCONFIG))
  await promisify(execFile)(bin('tsc'), ['-p', options.folder])
  return run({ ...options, entry: 'dist/main.js' })
}

/** `next build` without a single setting of the application in the environment, then `next start`. */
async function runNext({ folder, socket, env }: RunOptions): Promise<RunningProgram> {
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true }))
  // Next.js adds the rest; create-next-app begins with strict as well.
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { strict: true } }))
  const root = JSON.stringify(here) // node_modules lies above the application here, which is this test's doing alone
  writeFileSync(
    path.join(folder, 'next.config.mjs'),
    `export default { turbopack: { root: ${root} }, outputFileTracingRoot: ${root} }`,
  )
  const bare = { PATH: process.env.PATH, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' } as const
  await promisify(execFile)(bin('next'), ['build'], { cwd: folder, env: bare })
  const address = socket.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  socket.close()
  await once(socket, 'close')
  const args = ['start', '--hostname', '127.0.0.1', '--port', String(address.port)]
  const child = spawn(bin('next'), args, { cwd: folder, env: { ...bare, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => text.includes('Ready in') && resolve())
    child.once('exit', () => reject(new Error(`next start ended: ${complaints}`)))
  })
  return { complaints: () => complaints, stop: () => stopped(child) }
}

export const PROGRAMS: Readonly<Record<string, StackOptions>> = {
  // Auth.js knows no answer of one's own in the midst of a login: it goes on with nobody signed in.
  authjs: { ...HERE, lateLogin: { status: 401, at: '/me' } },
  fastify: HERE,
  'fastify-session': HERE,
  hono: HERE,
  koa: HERE,
  'passport-openid-client': { ...HERE, authMethod: 'client_secret_post' },
  nestjs: { ...HERE, run: runCompiled },
  'nestjs-fastify': { ...HERE, run: runCompiled },
  nextjs: { ...HERE, run: runNext },
}
