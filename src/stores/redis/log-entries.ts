// How marks and session ids lie in the Redis log, and how its pages become one.
import type { Mark } from '../../marks/covering.js'
import type { LogPage } from '../log-store.js'
import { listOf, numberOf, textOf } from '../reply.js'
import { field, markLine, markOf, secondsOf, unescaped } from './fields.js'

/** Entries of the log that one round trip fetches. */
const PAGE = 500

export interface LogReader {
  /** Reads after an id of the stream; `after` empty: only where the log ends. */
  read(position: readonly [after: string, readAt: string, count: string]): Promise<readonly unknown[]>
  /** All live marks. */
  allMarks(): Promise<readonly Mark[]>
}

/** Follows the log from a cursor, or starts afresh: the end of the log is noted before the marks are read. */
export async function followLog(reader: LogReader, cursor: string | undefined): Promise<LogPage> {
  const [after = '', readAt = ''] = cursor?.split('|') ?? []
  const page = after === '' ? undefined : await readOn(reader, after, readAt)
  return page ?? startAfresh(reader)
}

async function startAfresh(reader: LogReader): Promise<LogPage> {
  const [now, last] = await reader.read(['', '0', String(PAGE)])
  const marks = await reader.allMarks()
  return {
    cursor: cursorOf(last, now),
    now: secondsOf(now),
    reset: true,
    marks,
    sessionIds: [],
    endedIds: [],
    moves: [],
  }
}

async function readOn(reader: LogReader, from: string, readAt: string): Promise<LogPage | undefined> {
  const marks: Mark[] = []
  const sessionIds: string[] = []
  const endedIds: string[] = []
  const moves: (readonly [string, string])[] = []
  let after = from
  for (;;) {
    const [now, last, more, entries] = await reader.read([after, readAt, String(PAGE)])
    if (last === undefined) return undefined
    after = textOf(last)
    const fields = listOf(entries)
    for (let i = 0; i < fields.length; i += 2) {
      const [kind, entry] = [fields[i], fields[i + 1]]
      if (kind === 'm') marks.push(markOf(entry))
      else if (kind === 'v') moves.push(moveOf(textOf(entry)))
      else if (kind !== 'h') sessionIds.push(unescaped(textOf(entry)))
      if (kind === 'e') endedIds.push(unescaped(textOf(entry)))
    }
    if (numberOf(more) === 0)
      return { cursor: cursorOf(last, now), now: secondsOf(now), reset: false, marks, sessionIds, endedIds, moves }
  }
}

function cursorOf(last: unknown, now: unknown): string {
  return `${textOf(last)}|${textOf(now)}`
}

/** A mark as the log has it. */
export function markEntry(mark: Mark): readonly [string, string] {
  return ['m', markLine(mark)]
}

function moveOf(entry: string): readonly [string, string] {
  const [from = '', to = ''] = entry.split(' ')
  return [unescaped(from), unescaped(to)]
}

/** A session that was ended, as the log has it. */
export function endedEntry(sessionId: string): readonly [string, string] {
  return ['e', field(sessionId)]
}

/** A sign-on that moved on, as the log has it. */
export function movedEntry(from: string, to: string): readonly [string, string] {
  return ['v', `${field(from)} ${field(to)}`]
}

/** A session id of which something else happened. */
export function sessionEntry(sessionId: string): readonly [string, string] {
  return ['s', field(sessionId)]
}
