// What of each event is counted as asked of others or told them, and by which metric each event is measured.
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { LogoutError, type LogoutEvent } from '../../src/index.js'
import { outboundCounts } from '../../src/telemetry/outbound.js'
import { prometheusMetrics } from '../../src/telemetry/prometheus.js'

const error = new LogoutError('ERR_STORE', 'The logout store did not answer')
const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const counts = { found: 1, destroyed: 1, failed: 0, mismatched: 0, withoutSid: 0, notDeleted: 0 }
const about = {
  ...client,
  ...counts,
  scope: 'sid',
  reason: 'logout-token',
  durationSeconds: 0.01,
  background: false,
  steps: [],
} as const
const hop = (outcome: 'done' | 'refused') => ({ clientId: 'another', outcome })

/** One of each, and the metric that it moves; `none` is meant. */
const EVENTS: { readonly [T in LogoutEvent['type']]: readonly [Extract<LogoutEvent, { type: T }>, metric: string] } = {
  logout: [{ type: 'logout', revokeOfflineAccess: false, ...about }, 'sessions_ended_total{scope="sid"} 1'],
  'logout-failed': [
    { type: 'logout-failed', error, retrying: true, ...about },
    'errors_total{code="ERR_STORE",reason="none"} 1',
  ],
  refused: [{ type: 'refused', status: 400, error }, 'requests_total{outcome="failed"} 1'],
  'awaiting-keys': [{ type: 'awaiting-keys', error, waiting: 1 }, 'tokens_awaiting_keys_total 1'],
  replay: [{ type: 'replay', ...client, status: 400 }, 'requests_total{outcome="replayed"} 1'],
  answer: [{ type: 'answer', status: 200, durationSeconds: 0.01 }, 'requests_total{outcome="done"} 1'],
  bound: [{ type: 'bound', ...client, ended: true }, 'logins_bound_total{ended="true"} 1'],
  unbound: [{ type: 'unbound' }, 'none'],
  'resurrection-blocked': [
    { type: 'resurrection-blocked', how: 'write' },
    'dead_sessions_refused_total{how="write"} 1',
  ],
  'logout-token-sent': [
    { type: 'logout-token-sent', clientId: 'another', outcome: 'done', attempts: 1, status: 200 },
    'outbound_total{what="logout-token",outcome="done"} 1',
  ],
  revalidated: [{ type: 'revalidated', found: 'away' }, 'outbound_total{what="revalidation",outcome="away"} 1'],
  'tokens-revoked': [
    { type: 'tokens-revoked', ...client, outcome: 'revoked' },
    'outbound_total{what="revocation",outcome="revoked"} 1',
  ],
  'passed-on': [
    { type: 'passed-on', ...client, reason: 'logout-token', hops: [hop('done'), hop('done'), hop('refused')] },
    'outbound_total{what="passed-on",outcome="done"} 2',
  ],
  warning: [{ type: 'warning', error }, 'errors_total{code="ERR_STORE",reason="none"} 1'],
}

describe('each event', () => {
  it.each(Object.entries(EVENTS))('%s', async (_, [event, line]) => {
    const register = new Registry()
    const { onEvent } = prometheusMetrics({ register })
    const before = await register.metrics()
    onEvent(event)
    const after = await register.metrics()
    if (line === 'none') expect(after).toBe(before)
    else expect(after).toContain(`\noidc_backchannel_logout_${line}\n`)
  })
})

describe('outboundCounts', () => {
  it('counts each hop of a logout that is passed on, and nothing of what comes in', () => {
    expect(outboundCounts(EVENTS['passed-on'][0])).toEqual([
      { what: 'passed-on', outcome: 'done' },
      { what: 'passed-on', outcome: 'done' },
      { what: 'passed-on', outcome: 'refused' },
    ])
    expect(outboundCounts(EVENTS.logout[0])).toEqual([])
  })
})
