// What a command found, for people (a table) and for programs (`--json`). Knows no finding; escapes what came from
// elsewhere.

export type Level = 'ok' | 'note' | 'warning' | 'problem'

/** One thing that was looked at. */
export interface Finding {
  readonly level: Level
  /** One or two words. */
  readonly about: string
  readonly words: string
  readonly remedy?: string | undefined
}

/** Where a command writes. */
export interface Terminal {
  readonly out: (text: string) => void
  /** Progress and usage errors. */
  readonly err: (text: string) => void
  readonly isInteractive: boolean
  readonly colours: boolean
  readonly env: Readonly<Record<string, string | undefined>>
}

/** 0: all right. 1: something is wrong, and said. 2: the command could not be carried out. */
export type ExitCode = 0 | 1 | 2

/** A mistake on the command line. */
export class UsageError extends Error {}

const COLOUR: Readonly<Record<Level, number>> = { ok: 32, note: 36, warning: 33, problem: 31 }
const WIDTH = 110

/** Prints the findings and resolves to the exit code: a warning is none. */
export function conclude(
  given: readonly Finding[],
  terminal: Terminal,
  { json }: { readonly json: boolean },
): ExitCode {
  const findings = given.map((finding) => ({
    ...finding,
    words: printable(finding.words),
    ...(finding.remedy !== undefined && { remedy: printable(finding.remedy) }),
  }))
  const problems = findings.filter(({ level }) => level === 'problem').length
  const warnings = findings.filter(({ level }) => level === 'warning').length
  const verdict = problems > 0 ? 'problems' : 'all right'
  if (json) {
    terminal.out(`${JSON.stringify({ verdict, problems, warnings, findings }, undefined, 2)}\n`)
  } else {
    const width = Math.max(...findings.map(({ about }) => about.length), 0)
    for (const finding of findings) terminal.out(lineOf(finding, width, terminal.colours))
    const counted = [counting(problems, 'problem'), counting(warnings, 'warning')].filter((each) => each !== '')
    terminal.out(`\n${verdict}${counted.length > 0 ? `: ${counted.join(', ')}` : ''}\n`)
  }
  return problems > 0 ? 1 : 0
}

/** Says what is being waited for, where somebody is looking. */
export function progress(terminal: Terminal, words: string): void {
  if (terminal.isInteractive) terminal.err(`… ${words}\n`)
}

/** Control characters steer a terminal, and those of writing directions turn a line about. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, '�')
}

/** What came from elsewhere, fit for a terminal: no control characters, not too long. */
export function shown(text: string, maxLength = 120): string {
  const plain = printable(text)
  return plain.length > maxLength ? `${plain.slice(0, maxLength)}…` : plain
}

function lineOf({ level, about, words, remedy }: Finding, width: number, colours: boolean): string {
  const mark = level.padEnd(8)
  const painted = colours ? `\u001b[${COLOUR[level]}m${mark}\u001b[0m` : mark
  const indent = ' '.repeat(width + 10)
  const text = wrapped(words, indent)
  const remedied = remedy === undefined ? '' : `${indent}-> ${wrapped(remedy, `${indent}   `)}\n`
  return `${painted}${about.padEnd(width)}  ${text}\n${remedied}`
}

function wrapped(text: string, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > WIDTH - indent.length) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${indent}`)
}

function counting(count: number, noun: string): string {
  return count === 0 ? '' : `${count} ${noun}${count === 1 ? '' : 's'}`
}
