// The command line: which command, which options, how it ends. Knows what the commands are called and nothing of what
// they do.
import { parseArgs } from 'node:util'
import { doctor } from './doctor.js'
import { replay } from './replay.js'
import { type ExitCode, type Terminal, UsageError } from './report.js'
import { LISTEN_MOST_TIMES, send } from './send.js'

const DEFAULT_CLIENT_ID = 'my-rp'
const DEFAULT_PORT = 4780

const USAGES = {
  doctor: `  doctor <issuer> [--preset NAME] [--uri URL] [--store redis|postgres] [--app FILE] [--json]
      Looks at the provider's metadata, keys and clock, at your receiver (POSTs a token that is none) and at your store
      (REDIS_URL or DATABASE_URL), and says what to register and which options are needed. FILE exports your logout: it
      is run, and its bounds() say how long a user of whom no Logout Token comes may stay.
`,
  send: `  send <url> --sub SUB | --sid SID [--client-id ID] [--port PORT] [--as PRESET] [--defect NAME] [--all] [--json]
      Signs a Logout Token by a throw-away key, serves the key, delivers the token and shows the answer. The receiver must
      trust { issuer: 'http://127.0.0.1:PORT', clientId: 'ID' }; the path that the issuer has with --as is printed.
      PORT is ${DEFAULT_PORT} and ID ${DEFAULT_CLIENT_ID} if not given. --all sends every broken token there is, a verdict each.
      Where nothing listens at the address yet, it waits ${LISTEN_MOST_TIMES} s for your application: start this command first if that looks
      its provider up when it starts.
`,
  replay: `  replay <file> [--issuer URL] [--client-id ID] [--preset NAME] [--jwks FILE] [--at TIME] [--json]
      Explains a captured Logout Token rule by rule, offline.
`,
} as const

const ENDS = 'Ends with 0 if all is right, 1 if something is wrong, 2 if the command could not be carried out.\n'
const USAGE = [
  'oidc-backchannel-logout: is a logout at the OpenID Provider a logout here?\n',
  ...Object.values(USAGES),
  ENDS,
].join('\n')

type Command = keyof typeof USAGES

const COMMANDS: Readonly<Record<Command, (args: string[], terminal: Terminal) => Promise<ExitCode>>> = {
  doctor: runDoctor,
  send: runSend,
  replay: runReplay,
}

/** `args` without the program's own name. Never rejects for what a user does. */
export async function commandLine(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const [command = '', ...rest] = args
    if (isCommand(command)) {
      if (!rest.some(asksForHelp)) return await COMMANDS[command](rest, terminal)
      terminal.out(`${USAGES[command]}\n${ENDS}`)
      return 0
    }
    if (asksForHelp(command) || command === 'help') {
      terminal.out(USAGE)
      return 0
    }
    terminal.err(USAGE)
    return 2
  } catch (error) {
    if (!(error instanceof UsageError) && !isParseError(error)) throw error
    terminal.err(`${error.message}\n`)
    return 2
  }
}

function isCommand(name: string): name is Command {
  return Object.hasOwn(USAGES, name)
}

function asksForHelp(arg: string): boolean {
  return arg === '--help' || arg === '-h'
}

const text = { type: 'string' } as const
const flag = { type: 'boolean', default: false } as const

async function runDoctor(args: string[], terminal: Terminal): Promise<ExitCode> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { preset: text, uri: text, store: text, app: text, json: flag, 'client-id': text },
  })
  const issuer = only(positionals, 'doctor needs an issuer, such as https://op.example.com')
  return doctor(
    { issuer, presetName: values.preset, uri: values.uri, store: values.store, app: values.app, json: values.json },
    terminal,
  )
}

async function runSend(args: string[], terminal: Terminal): Promise<ExitCode> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { sub: text, sid: text, 'client-id': text, port: text, as: text, defect: text, all: flag, json: flag },
  })
  const uri = only(positionals, 'send needs the address of the receiver')
  const { sub, sid, as, defect, all, json } = values
  const clientId = values['client-id'] ?? DEFAULT_CLIENT_ID
  return send({ uri, clientId, sub, sid, as, defect, all, json, port: portOf(values.port) }, terminal)
}

async function runReplay(args: string[], terminal: Terminal): Promise<ExitCode> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { issuer: text, 'client-id': text, preset: text, jwks: text, at: text, json: flag },
  })
  const file = only(positionals, 'replay needs a file that holds a Logout Token')
  const { issuer, jwks, at, json } = values
  return replay({ file, issuer, clientId: values['client-id'], presetName: values.preset, jwks, at, json }, terminal)
}

function only([first, ...others]: readonly string[], otherwise: string): string {
  if (first === undefined) throw new UsageError(otherwise)
  if (others.length > 0) throw new UsageError('one address or file at a time, and options by their names')
  return first
}

function portOf(value: string | undefined): number {
  const port = value === undefined ? DEFAULT_PORT : Number(value)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new UsageError('--port is a number from 0 to 65535; 0 takes any free one')
}

function isParseError(error: unknown): error is Error {
  return error instanceof Error && String(Object(error).code).startsWith('ERR_PARSE_ARGS')
}
