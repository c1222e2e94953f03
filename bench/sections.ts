// The sections by name, and which of them two builds can measure in turns.
import { accessTokens } from './access-tokens.js'
import { type Bench, inTurns, type RoundedSection } from './bench.js'
import { claims } from './claims.js'
import { guardedReads } from './guarded-reads.js'
import { redisCalls } from './redis-calls.js'
import type { Section } from './report.js'
import { scale } from './scale.js'
import { sharedStores } from './shared-stores.js'
import { wholeJob } from './whole-job.js'

export const ROUNDED: Readonly<Record<string, (bench: Bench) => Promise<RoundedSection>>> = {
  'whole-job': wholeJob,
  redis: redisCalls,
  reads: guardedReads,
  tokens: accessTokens,
}

export const SECTIONS: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
  'whole-job': (bench) => inRounds(bench, wholeJob),
  scale,
  redis: (bench) => inRounds(bench, redisCalls),
  'shared-stores': sharedStores,
  claims,
  reads: (bench) => inRounds(bench, guardedReads),
  tokens: (bench) => inRounds(bench, accessTokens),
}

async function inRounds(bench: Bench, start: (bench: Bench) => Promise<RoundedSection>): Promise<Section> {
  const section = await start(bench)
  await inTurns([section], bench)
  return section.report()
}
