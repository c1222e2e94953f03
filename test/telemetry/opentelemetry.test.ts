// What OpenTelemetry is told of real logouts, through its own SDK.
import { type HrTime, metrics, SpanStatusCode } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutStep, memoryStore } from '../../src/index.js'
import { openTelemetry } from '../../src/telemetry/opentelemetry.js'
import { createTokenMint } from '../../src/testing/index.js'

const NAMES = 'oidc.backchannel_logout.'

/** The steps of one span, and which of them failed; each of them within it, none begun before the one before. */
function stepsBelow(whole: ReadableSpan, finished: readonly ReadableSpan[]): string[] {
  const ms = ([seconds, nanoseconds]: HrTime) => seconds * 1e3 + nanoseconds / 1e6
  const below = finished.filter(({ parentSpanContext }) => parentSpanContext?.spanId === whole.spanContext().spanId)
  const begun = below.map(({ startTime }) => ms(startTime))
  expect(begun).toEqual([...begun].sort((a, b) => a - b))
  for (const { startTime, endTime } of below) {
    expect(ms(startTime)).toBeGreaterThanOrEqual(ms(whole.startTime))
    expect(ms(endTime)).toBeGreaterThanOrEqual(ms(startTime))
    expect(ms(endTime)).toBeLessThanOrEqual(ms(whole.endTime))
  }
  return below.map(({ name, status }) => {
    return `${name.replace(NAMES, '')}${status.code === SpanStatusCode.ERROR ? ' failed' : ''}`
  })
}

describe('openTelemetry', () => {
  it('counts also where the global provider of meters is set after it was called', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const metering = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
    const listener = openTelemetry()
    metrics.setGlobalMeterProvider(metering)
    try {
      listener({ type: 'resurrection-blocked', how: 'read' })
      await metering.forceFlush()
      const [resource] = exporter.getMetrics()
      expect(resource?.scopeMetrics.flatMap((scope) => scope.metrics.map(({ descriptor }) => descriptor.name))).toEqual(
        ['oidc.backchannel_logout.dead_sessions_refused'],
      )
    } finally {
      metrics.disable()
      await metering.shutdown()
    }
  })

  it('makes spans of a request and its logout, and counts what was refused, with nothing of a token', async () => {
    const spans = new InMemorySpanExporter()
    const tracing = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const metering = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
    const mint = await createTokenMint({
      issuer: 'https://op.example.com',
      clientId: 'rp',
      algorithm: 'ES256',
      sub: 'a-secret',
    })
    const logout = createBackchannelLogout({
      provider: { issuer: mint.issuer, clientId: 'rp', jwks: mint.jwks, algorithms: ['ES256'] },
      onEvent: openTelemetry({ tracer: tracing.getTracer('test'), meter: metering.getMeter('test') }),
    })
    for (const token of [await mint.logoutToken(), await mint.defective('nonce')]) {
      const body = new URLSearchParams({ logout_token: token })
      await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    }
    logout.close()
    await metering.forceFlush()

    const finished = spans.getFinishedSpans()
    const whole = finished.filter(({ parentSpanContext }) => parentSpanContext === undefined)
    expect(whole.map(({ name, attributes }) => [name, attributes['http.response.status_code']])).toEqual([
      ['oidc.backchannel_logout.logout', undefined],
      ['oidc.backchannel_logout.receive', 200],
      ['oidc.backchannel_logout.receive', 400],
    ])
    const steps = whole.map((span) => stepsBelow(span, finished))
    expect(steps).toEqual([
      // With nothing to evict and nobody to tell, the store does all of it in one step.
      ['mark'],
      ['read', 'verify'],
      ['read', 'verify failed'],
    ])
    for (const { startTime, endTime } of finished) expect(endTime[0] - startTime[0]).toBeLessThan(60)
    const points = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics)
    const errors = points.find(({ descriptor }) => descriptor.name === 'oidc.backchannel_logout.errors')
    expect(errors?.dataPoints.map(({ attributes, value }) => [attributes, value])).toEqual([
      [{ 'error.type': 'ERR_TOKEN', 'oidc.backchannel_logout.reason': 'nonce_present' }, 1],
      // The logout found nobody, since nobody signs in here.
      [{ 'error.type': 'ERR_CONFIGURATION', 'oidc.backchannel_logout.reason': 'never_bound' }, 1],
    ])
    expect(points.map(({ descriptor }) => descriptor.name)).toContain('oidc.backchannel_logout.duration')
    expect(JSON.stringify([finished.map(({ attributes }) => attributes), points])).not.toContain('a-secret')
    await metering.shutdown()
  })

  /** A logout of one session, of which a step fails; resolves to the spans of that logout and of what goes on later. */
  async function logoutThat(fails: LogoutStep | 'nothing', sampler?: AlwaysOffSampler) {
    const spans = new InMemorySpanExporter()
    const processors = { spanProcessors: [new SimpleSpanProcessor(spans)] }
    const tracing = new BasicTracerProvider({ ...processors, ...(sampler && { sampler }) })
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp', algorithm: 'ES256' })
    const failing = (step: LogoutStep) => (fails === step ? Promise.reject(new Error('a-secret')) : undefined)
    const rows = new session.MemoryStore()
    const { destroy } = rows
    rows.set('a-secret-id', { cookie: new session.Cookie() } as session.SessionData)
    rows.destroy = (id, done) => (fails === 'destroy' ? done?.(new Error('a-secret')) : destroy.call(rows, id, done))
    const memory = memoryStore()
    const store = new Proxy(memory, {
      get(target, name) {
        const step = ({ begin: 'mark', complete: 'remember' } as const)[String(name)]
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) => (step && failing(step)) ?? Reflect.apply(member, target, args)
      },
    })
    const logout = createBackchannelLogout({
      provider: { issuer: mint.issuer, clientId: 'rp', jwks: mint.jwks, algorithms: ['ES256'] },
      store,
      sessions: expressSessions(rows),
      claims: { evict: () => failing('evict') },
      onSessionsEnded: () => failing('announce'),
      onEvent: openTelemetry({ tracer: tracing.getTracer('test') }),
    })
    await logout.bind({ sessionId: 'a-secret-id', expiresAt: Date.now() / 1000 + 60 }, mint.idTokenClaims())
    const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    logout.close()
    const finished = spans.getFinishedSpans()
    const whole = finished.find(({ name }) => name === `${NAMES}logout`)
    expect(
      JSON.stringify(finished.map(({ attributes, events, status }) => [attributes, events, status])),
    ).not.toContain('a-secret')
    return { status, steps: whole && stepsBelow(whole, finished), count: finished.length }
  }

  const STEPS = ['mark', 'evict', 'destroy', 'announce', 'remember']
  it.each<[LogoutStep | 'nothing', number, string[]]>([
    ['nothing', 200, STEPS],
    ['mark', 400, ['mark failed']],
    ['evict', 400, ['mark', 'evict failed', 'destroy', 'announce', 'remember']],
    ['destroy', 400, ['mark', 'evict', 'destroy failed', 'announce', 'remember']],
    ['announce', 400, ['mark', 'evict', 'destroy', 'announce failed', 'remember']],
    ['remember', 400, ['mark', 'evict', 'destroy', 'announce', 'remember failed', 'reopen failed']],
  ])('makes a span of each step of a logout, and says which one failed: %s', async (fails, status, steps) => {
    expect(await logoutThat(fails)).toMatchObject({ status, steps })
  })

  it('makes nothing of the steps where the trace is not sampled', async () => {
    expect(await logoutThat('nothing', new AlwaysOffSampler())).toMatchObject({ status: 200, count: 0 })
  })
})
