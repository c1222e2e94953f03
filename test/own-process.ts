// Which test files need a process of their own, read off their text and that of what they import of this folder. All
// others share a few: to start a process and to load the sources takes longer than most files last.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** What is of a process as a whole, and no test of the file puts back. */
const OF_A_PROCESS = [
  /\bprocess\.(?:on|off|exit|chdir|memoryUsage|cpuUsage)\b|\bprocess\.env\.\w+ =|\bglobalThis\b/,
  /\bvi\.(?:mock|doMock|hoisted|stub|resetModules)/,
]

/** Computing for seconds: each promise costs more where another file has used an AsyncLocalStorage. */
const LONG =
  /\/(?:interleavings|access-tokens\/(?:.*interleavings|random|relay)|sessions\/session-store-matrix|conformance\/(?:receiver-rules|requests)|tokens\/hostile|testing\/(?:logout-store|assert)|cli\/side|outbound\/broker)/

/** Whose packages keep a registry for a whole process, or whose programs are run. */
const ROOMS = /^test\/(?:browser|package|stacks|telemetry)\//

export function hasOwnProcess(file: string): boolean {
  return ROOMS.test(file) || LONG.test(file) || isOfItsProcess(file, new Set())
}

function isOfItsProcess(file: string, seen: Set<string>): boolean {
  seen.add(file)
  const text = readFileSync(file, 'utf8')
  if (OF_A_PROCESS.some((each) => each.test(text))) return true
  return [...text.matchAll(/from '(\.[^']*)\.js'/g)]
    .map(([, name = '']) => path.posix.join(path.posix.dirname(file), `${name}.ts`))
    .some((each) => each.startsWith('test/') && !seen.has(each) && existsSync(each) && isOfItsProcess(each, seen))
}
