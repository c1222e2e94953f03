// Runs a command of the command line in this process, and keeps what it wrote.
import { commandLine } from '../../src/cli/command-line.js'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** `hear` is told what the command says meanwhile, as whoever sits before it reads it. */
export async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  hear: (text: string) => void = () => {},
): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await commandLine(args, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
      hear(text)
    },
    isInteractive: false,
    colours: false,
    env,
  })
  return { code, out, err }
}

/** As one line, however it was wrapped. */
export function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
