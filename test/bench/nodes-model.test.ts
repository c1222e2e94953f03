// That the prices of nodes are found in runs that were made of known ones, and what they come to for more nodes.
import { describe, expect, it } from 'vitest'
import { behaviourAt, fittedPrices, type MeasuredRun, nodesAtShare, predictedMicros } from '../../bench/nodes-model.js'

const PULL = 12
const ENTRY = 3
const SECONDS = 4

/** A node pulls once a second and ten times more where logouts arrive; each brings two entries to each node. */
function run(nodes: number, rate: number, { pull = PULL, entry = ENTRY } = {}): MeasuredRun {
  const each = nodes * SECONDS
  const [pulls, entries] = [each * (rate === 0 ? 1 : 10), each * 2 * rate]
  return {
    nodes,
    rate,
    seconds: SECONDS,
    logouts: rate * SECONDS,
    serverMicros: (500 + 80 * rate) * SECONDS + pulls * pull + entries * entry,
    pulls,
    commands: pulls,
    entries,
    bytes: pulls * 90 + entries * 150,
    doorbells: rate * SECONDS * nodes,
  }
}

const runs = [0, 10, 100].flatMap((rate) => [0, 1, 2, 4].map((nodes) => run(nodes, rate)))

describe('the model of nodes that follow a log', () => {
  it('finds the price of a pull and of an entry, and what eight nodes take', () => {
    const prices = fittedPrices(runs)
    expect(prices.pullMicros).toBeCloseTo(PULL, 6)
    expect(prices.entryMicros).toBeCloseTo(ENTRY, 6)
    for (const rate of [0, 10, 100]) {
      const eight = run(8, rate)
      expect(predictedMicros(prices, behaviourAt(runs, rate), 8)).toBeCloseTo(eight.serverMicros / SECONDS, 6)
    }
  })

  it('says what one node asks and hears in a second', () => {
    expect(behaviourAt(runs, 100)).toEqual({
      baseMicros: 8500,
      pulls: 10,
      commands: 10,
      entries: 200,
      bytes: 30_900,
      doorbellsPerLogout: 1,
    })
  })

  it('says how many nodes take half a core, and none where logouts alone take it', () => {
    // Of 500,000 us the logouts take 8,500, and each node 10 pulls and 200 entries.
    expect(nodesAtShare({ pullMicros: 12, entryMicros: 3 }, behaviourAt(runs, 100), 0.5)).toBe(682)
    expect(nodesAtShare({ pullMicros: 12, entryMicros: 3 }, behaviourAt(runs, 100), 0.001)).toBe(0)
  })

  it.each([
    ['a pull', { pull: -3, entry: 5 }, 'pullMicros'],
    ['an entry', { pull: 40, entry: -1 }, 'entryMicros'],
  ] as const)('never gives %s a price below nothing', (_, made, negative) => {
    const noisy = [0, 10, 100].flatMap((rate) => [0, 1, 2, 4].map((nodes) => run(nodes, rate, made)))
    const prices = fittedPrices(noisy)
    expect(prices[negative]).toBe(0)
    expect(prices.pullMicros + prices.entryMicros).toBeGreaterThan(0)
  })

  it('does not predict a rate that it has not seen without followers', () => {
    expect(() => behaviourAt([run(2, 10)], 10)).toThrow('no run without followers at 10')
  })
})
