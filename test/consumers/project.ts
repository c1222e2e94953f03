// A project of a user's below the folder that `install.ts` made: its files, and what a command in it prints.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inject } from 'vitest'

export type Files = Readonly<Record<string, string | object>>

export interface Outcome {
  readonly code: number
  /** Standard output, then standard error. */
  readonly output: string
}

/** Writes the files, objects as JSON, and returns the folder. */
export function project(name: string, files: Files): string {
  const folder = mkdtempSync(path.join(inject('consumers'), `${name.replaceAll(/\W+/g, '-')}-`))
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

/**
 * Runs `node …` or a program that npm installed. Nothing of the runner around it is of any concern to what runs inside.
 */
export function run(folder: string, command: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const [name = '', ...args] = command.split(' ')
  const file = name === 'node' ? process.execPath : path.join(inject('consumers'), 'node_modules', '.bin', name)
  const home = { PATH: process.env.PATH, HOME: folder, NODE_ENV: 'test', NO_COLOR: '1', ...env }
  return new Promise((resolve) => {
    execFile(file, args, { cwd: folder, env: home, timeout: 170_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, output: `${stdout}${stderr}` })
    })
  })
}
