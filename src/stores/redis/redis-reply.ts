// How the scripts answer: a list of names and values, in which all is text or a list. Knows no operation.
import { Reply } from '../reply.js'

/** Throws if the reply is no such list, as {@link Reply} does for its members. */
export function redisReply(reply: unknown): Reply {
  if (!Array.isArray(reply)) return new Reply(undefined)
  const members: Record<string, unknown> = {}
  for (let i = 0; i + 1 < reply.length; i += 2) members[String(reply[i])] = truthOr(reply[i + 1])
  return new Reply(members)
}

/** Redis has no truth values: they come as words, which no other value of a reply is. */
function truthOr(value: unknown): unknown {
  if (value === 'true') return true
  return value === 'false' ? false : value
}
