// The sections by name, and which of them two builds can measure in turns.
import { accessTokens } from './access-tokens.js'
import { type Bench, inTurns, type RoundedSection } from './bench.js'
import { bigUsers, enormousUser } from './big-users.js'
import { claims } from './claims.js'
import { guardedReads } from './guarded-reads.js'
import { nodes } from './nodes.js'
import { redisCalls } from './redis-calls.js'
import type { Section } from './report.js'
import { scale } from './scale.js'
import { sharedStores } from './shared-stores.js'
import { start } from './start.js'
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
  'big-users': bigUsers,
  start,
}

/** Too long for a run of everything; measured where they are named. */
export const SECTIONS_BY_NAME: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
  'enormous-user': enormousUser,
  nodes,
}

async function inRounds(bench: Bench, start: (bench: Bench) => Promise<RoundedSection>): Promise<Section> {
  const section = await start(bench)
  await inTurns([section], bench)
  return section.report()
}

/** Those that run where none is named, and those that do not. */
export const ALL_SECTIONS = { ...SECTIONS, ...SECTIONS_BY_NAME }
