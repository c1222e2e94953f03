// What OpenTelemetry is told of real logouts, through its own SDK.
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { openTelemetry } from '../../src/telemetry/opentelemetry.js'
import { createTokenMint } from '../../src/testing/index.js'

describe('openTelemetry', () => {
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
    await metering.forceFlush()

    const finished = spans.getFinishedSpans()
    expect(finished.map(({ name, attributes }) => [name, attributes['http.response.status_code']])).toEqual([
      ['oidc.backchannel_logout.logout', undefined],
      ['oidc.backchannel_logout.receive', 200],
      ['oidc.backchannel_logout.receive', 400],
    ])
    for (const { startTime, endTime } of finished) expect(endTime[0] - startTime[0]).toBeLessThan(60)
    const points = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics)
    const errors = points.find(({ descriptor }) => descriptor.name === 'oidc.backchannel_logout.errors')
    expect(errors?.dataPoints.map(({ attributes, value }) => [attributes, value])).toEqual([
      // The logout found nobody, since nobody signs in here.
      [{ 'error.type': 'ERR_CONFIGURATION', 'oidc.backchannel_logout.reason': 'never_bound' }, 1],
      [{ 'error.type': 'ERR_TOKEN', 'oidc.backchannel_logout.reason': 'nonce_present' }, 1],
    ])
    expect(points.map(({ descriptor }) => descriptor.name)).toContain('oidc.backchannel_logout.duration')
    expect(JSON.stringify([finished.map(({ attributes }) => attributes), points])).not.toContain('a-secret')
    await metering.shutdown()
  })
})
