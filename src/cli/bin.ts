#!/usr/bin/env node
// The program behind `npx oidc-backchannel-logout`: this process's terminal and exit code, nothing else.
import { commandLine } from './command-line.js'

process.exitCode = await commandLine(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isInteractive: process.stderr.isTTY === true,
  colours: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  env: process.env,
})
