// Which steps of the stores of a world have nothing to do with each other: at different nodes, on different things, or
// both reading. What a node does between its steps is its own: it shares the stores and no memory.
import type { Independent, Step } from './scheduler.js'

interface Touched {
  readonly reads?: readonly string[]
  readonly writes?: readonly string[]
}

/** The step in which a user is sent to the OP: its time is the store's. */
export const BEGIN_LOGIN = 'begin login'

/** Every binding, beside `binding <id>`. */
const BINDINGS = 'bindings'

/** By the name of a step: the first that fits. */
const TOUCHED: readonly (readonly [RegExp, (id: string) => Touched])[] = [
  [/^get row (.*)$/, (id) => ({ reads: [`row ${id}`] })],
  [/^(?:set|destroy|touch) row ([^,]*)/, (id) => ({ writes: [`row ${id}`] })],
  [/^begin login$/, () => ({ writes: ['store', 'marks'] })],
  // A store whose calls are one step each.
  [/^answer to /, () => ({})],
  [/^(?:read|marks|isBound|list)$/, () => ({ reads: ['store'] })],
  [/^(?:bind|rebind|renew|addTokens|endSessions|unbind|begin|complete)$/, () => ({ writes: ['store'] })],
  // A store without atomicity.
  [/^(?:write binding|remove binding|unbind) (.*)$/, (id) => ({ writes: [`binding ${id}`] })],
  [/^read binding (.*)$/, (id) => ({ reads: [`binding ${id}`] })],
  [/^(?:cut lineage|leave|inherit end) (.*)$/, (id) => ({ writes: [`end ${id}`] })],
  [/^read end of (.*)$/, (id) => ({ reads: [`end ${id}`] })],
  [/^read marks/, () => ({ reads: ['marks'] })],
  [/^write mark/, () => ({ writes: ['marks'] })],
  [/^find sessions$/, () => ({ reads: [BINDINGS] })],
  [/^end (.*)$/, (id) => ({ reads: [`binding ${id}`], writes: [`end ${id}`] })],
  [/^replay\?$/, () => ({ reads: ['jtis'] })],
  [/^(?:remember|reopen) jti$/, () => ({ writes: ['jtis'] })],
  [/^read (.*)$/, (id) => ({ reads: [`binding ${id}`, `end ${id}`] })],
]

const known = new Map<string, Touched>()

function touchedBy({ name }: Step): Touched {
  const before = known.get(name)
  if (before !== undefined) return before
  for (const [pattern, touched] of TOUCHED) {
    const match = pattern.exec(name)
    if (match === null) continue
    const found = touched(match[1] ?? '')
    known.set(name, found)
    return found
  }
  throw new Error(`Nobody knows what is touched by the step ${name}`)
}

export const independent: Independent = (one, other) => {
  if (one.node === other.node) return false
  const [mine, yours] = [touchedBy(one), touchedBy(other)]
  return !collide(mine.writes, yours.writes) && !collide(mine.writes, yours.reads) && !collide(mine.reads, yours.writes)
}

function collide(some: readonly string[] = [], others: readonly string[] = []): boolean {
  return some.some((one) => others.some((other) => one === other || isOneOf(one, other) || isOneOf(other, one)))
}

function isOneOf(one: string, all: string): boolean {
  return all === BINDINGS && one.startsWith('binding ')
}
