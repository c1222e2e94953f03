// How marks and session ids lie in the Redis log, and how its pages become one.
import type { Mark } from '../../marks/covering.js'
import type { LogPage } from '../log-store.js'
import { markOf, type Reply } from '../reply.js'

/** Entries of the log that one round trip fetches. */
const PAGE = 500

export interface LogReader {
  /** Reads after an id of the stream; `after` empty: only where the log ends. */
  read(position: { readonly after: string; readonly readAt: number; readonly count: number }): Promise<Reply>
  /** All live marks. */
  allMarks(): Promise<readonly Mark[]>
}

/** Follows the log from a cursor, or starts afresh: the end of the log is noted before the marks are read. */
export async function followLog(reader: LogReader, cursor: string | undefined): Promise<LogPage> {
  const [after = '', readAt = ''] = cursor?.split('|') ?? []
  const page = after === '' ? undefined : await readOn(reader, after, Number(readAt))
  return page ?? startAfresh(reader)
}

async function startAfresh(reader: LogReader): Promise<LogPage> {
  const end = await reader.read({ after: '', readAt: 0, count: PAGE })
  const marks = await reader.allMarks()
  return { cursor: cursorOf(end), now: end.number('now'), reset: true, marks, sessionIds: [] }
}

async function readOn(reader: LogReader, from: string, readAt: number): Promise<LogPage | undefined> {
  const marks: Mark[] = []
  const sessionIds: string[] = []
  let reply: Reply
  let after = from
  do {
    reply = await reader.read({ after, readAt, count: PAGE })
    if (reply.flag('lost')) return undefined
    for (const [kind, value] of reply.pairs('entries')) {
      if (kind === 'm') marks.push(markOf(JSON.parse(value)))
      else sessionIds.push(value)
    }
    after = reply.text('last')
  } while (reply.flag('more'))
  return { cursor: cursorOf(reply), now: reply.number('now'), reset: false, marks, sessionIds }
}

function cursorOf(reply: Reply): string {
  return `${reply.text('last')}|${reply.text('now')}`
}

/** A mark as `append` takes it. */
export function markEntry(mark: Mark): readonly [string, string] {
  const { scope, key, subKey = '', issuedAt, seenAt, expiresAt } = mark
  return ['m', JSON.stringify([scope, key, subKey, ...[issuedAt, seenAt, expiresAt].map(String)])]
}

/** A session id as `append` takes it. */
export function sessionEntry(sessionId: string): readonly [string, string] {
  return ['s', sessionId]
}
