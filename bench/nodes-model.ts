// What nodes that follow the log cost their store: two prices fitted to measured runs, and what they come to for more
// nodes. Knows no store.

/** One run: so many nodes while so many logouts arrive. All rates are per second, over the whole run. */
export interface MeasuredRun {
  readonly nodes: number
  /** Asked for; the bench groups by it. */
  readonly rate: number
  readonly seconds: number
  readonly logouts: number
  /** Processor time of the store's server. */
  readonly serverMicros: number
  /** All nodes together. */
  readonly pulls: number
  readonly commands: number
  /** Marks and session ids in the pages that they read. */
  readonly entries: number
  readonly bytes: number
  readonly doorbells: number
}

export interface Prices {
  /** Of a pull that brings nothing. */
  readonly pullMicros: number
  /** Of each mark or session id in a page; the doorbell that was rung for it is in this. */
  readonly entryMicros: number
}

/** What does not depend on the number of nodes as long as the store keeps up: per second. */
export interface Behaviour {
  /** Of the server, without any follower: logins and logouts themselves. */
  readonly baseMicros: number
  /** Of each node. */
  readonly pulls: number
  readonly commands: number
  readonly entries: number
  readonly bytes: number
  readonly doorbellsPerLogout: number
}

/** Least squares of the error as a share of all that the server took, over runs with followers; a price is never below nothing. */
export function fittedPrices(runs: readonly MeasuredRun[]): Prices {
  const rows = runs.filter(({ nodes }) => nodes > 0).map((run) => rowOf(run, baseOf(runs, run.rate)))
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0)
  const [pp, pe, ee] = [sum((r) => r.pulls ** 2), sum((r) => r.pulls * r.entries), sum((r) => r.entries ** 2)]
  const [p, e] = [sum((r) => r.pulls * r.micros), sum((r) => r.entries * r.micros)]
  if (pp === 0) return { pullMicros: 0, entryMicros: 0 }
  const determinant = pp * ee - pe ** 2
  const both = { pullMicros: (p * ee - e * pe) / determinant, entryMicros: (e * pp - p * pe) / determinant }
  if (both.pullMicros >= 0 && both.entryMicros >= 0) return both
  // One price alone explains more than two of which one is negative.
  return both.pullMicros < 0
    ? { pullMicros: 0, entryMicros: Math.max(0, e / ee) }
    : { pullMicros: Math.max(0, p / pp), entryMicros: 0 }
}

/** Behaviour at one rate, from the runs of fewer nodes than are predicted. */
export function behaviourAt(runs: readonly MeasuredRun[], rate: number): Behaviour {
  const followed = runs.filter((run) => run.rate === rate && run.nodes > 0)
  const each = (of: (run: MeasuredRun) => number, by: (run: MeasuredRun) => number) =>
    followed.reduce((total, run) => total + of(run), 0) / followed.reduce((total, run) => total + by(run), 0)
  const perNode = (of: (run: MeasuredRun) => number) => each(of, ({ nodes, seconds }) => nodes * seconds)
  return {
    baseMicros: baseOf(runs, rate),
    pulls: perNode(({ pulls }) => pulls),
    commands: perNode(({ commands }) => commands),
    entries: perNode(({ entries }) => entries),
    bytes: perNode(({ bytes }) => bytes),
    doorbellsPerLogout: each(
      ({ doorbells }) => doorbells,
      ({ nodes, logouts }) => nodes * logouts,
    ),
  }
}

/** Microseconds of the store's processor in each second: a million is one core. */
export function predictedMicros(prices: Prices, behaviour: Behaviour, nodes: number): number {
  return behaviour.baseMicros + nodes * nodeMicros(prices, behaviour)
}

export function nodeMicros({ pullMicros, entryMicros }: Prices, { pulls, entries }: Behaviour): number {
  return pulls * pullMicros + entries * entryMicros
}

/** How many nodes take that share of one core. */
export function nodesAtShare(prices: Prices, behaviour: Behaviour, share: number): number {
  return Math.max(0, Math.floor((share * 1e6 - behaviour.baseMicros) / nodeMicros(prices, behaviour)))
}

interface Row {
  readonly pulls: number
  readonly entries: number
  /** Beyond what the server takes without followers. */
  readonly micros: number
}

/** Divided by all that the server took, so that a quiet run counts as much as a busy one. */
function rowOf({ pulls, entries, seconds, serverMicros }: MeasuredRun, base: number): Row {
  return {
    pulls: pulls / serverMicros,
    entries: entries / serverMicros,
    micros: (serverMicros - base * seconds) / serverMicros,
  }
}

function baseOf(runs: readonly MeasuredRun[], rate: number): number {
  const alone = runs.find((run) => run.rate === rate && run.nodes === 0)
  if (alone === undefined) throw new Error(`no run without followers at ${rate} logouts a second`)
  return alone.serverMicros / alone.seconds
}
