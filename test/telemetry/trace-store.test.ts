// The steps of a logout that are the store's, as spans, through OpenTelemetry's own SDK.
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, memoryStore } from '../../src/index.js'
import { traceStore } from '../../src/telemetry/opentelemetry.js'
import { createTokenMint } from '../../src/testing/index.js'

function start() {
  const spans = new InMemorySpanExporter()
  const tracing = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const seen = () => spans.getFinishedSpans().map(({ name }) => name.replace('oidc.backchannel_logout.store.', ''))
  return { tracer: tracing.getTracer('test'), spans, seen }
}

describe('traceStore', () => {
  it('makes a span of each step of login, request and logout, with nothing of a person in it', async () => {
    const { tracer, spans, seen } = start()
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp', algorithm: 'ES256' })
    const logout = createBackchannelLogout({
      provider: { issuer: mint.issuer, clientId: 'rp', jwks: mint.jwks, algorithms: ['ES256'] },
      store: traceStore(memoryStore(), { tracer }),
      sessions: expressSessions(new session.MemoryStore()),
      onSessionsEnded: () => {},
    })
    const own = { sessionId: 'a-secret-id', expiresAt: Date.now() / 1000 + 60 }
    await logout.bind(own, mint.idTokenClaims())
    const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    expect(status).toBe(200)
    const names = seen()
    expect(names.indexOf('bind')).toBeLessThan(names.indexOf('begin'))
    expect(names.indexOf('begin')).toBeLessThan(names.indexOf('complete'))
    expect(JSON.stringify(spans.getFinishedSpans().map(({ attributes }) => attributes))).not.toContain('a-secret')
    logout.close()
  })

  it('says that a question failed, by name, and hands the failure on', async () => {
    const { tracer, spans } = start()
    class Away extends Error {
      override name = 'Away'
    }
    const failing = {
      read: () => Promise.reject(new Away('redis://user:hunter2@host')),
      list: () => {
        throw new Away('at once')
      },
      size: 3,
    }
    const store = traceStore(failing, { tracer })
    await expect(store.read()).rejects.toThrow(Away)
    expect(() => store.list()).toThrow(Away)
    expect(store.size).toBe(3)
    const finished = spans.getFinishedSpans()
    expect(finished.map(({ attributes, status }) => [attributes, status])).toEqual([
      [{ 'error.type': 'Away' }, { code: 2 }],
      [{ 'error.type': 'Away' }, { code: 2 }],
    ])
  })

  it('is still the store that it was', () => {
    const store = memoryStore()
    const { tracer } = start()
    const same = traceStore(store, { tracer })
    expect(Object.getPrototypeOf(same)).toBe(Object.getPrototypeOf(store))
  })
})
