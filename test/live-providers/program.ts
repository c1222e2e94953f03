// Starts an OpenID Provider as a process of its own and stops it by its id, with what it started itself. Knows no
// provider.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

export interface Program {
  /** Resolves when it and all that it started are gone. */
  stop(): Promise<void>
}

export interface Start {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly isReady: () => Promise<boolean>
  readonly deadlineSeconds?: number
}

/** Rejects with the last that the program said if it ends, or is not ready in time. */
export async function startProgram(
  program: string,
  { args = [], env = {}, cwd, isReady, deadlineSeconds = 60 }: Start,
): Promise<Program> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    // A group of its own: start scripts leave the real server behind as their child.
    detached: true,
    ...(cwd && { cwd }),
  })
  let said = ''
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const failed = once(child, 'error').catch(() => {})
  void failed
  const ended = once(child, 'close')
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // Gone already.
    }
  }
  const killWithParent = () => kill('SIGKILL')
  process.once('exit', killWithParent)
  const deadline = Date.now() + deadlineSeconds * 1000
  while (!(await isReady().catch(() => false))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      kill('SIGKILL')
      throw new Error(`${program} did not start:\n${said}`)
    }
    await delay(100)
  }
  return {
    async stop() {
      process.removeListener('exit', killWithParent)
      kill('SIGTERM')
      const late = setTimeout(() => kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(late)
    },
  }
}

/** Ready as soon as this URL answers 200. */
export function answers(url: string): () => Promise<boolean> {
  return async () => (await fetch(url, { signal: AbortSignal.timeout(5000) })).ok
}
