// Spans and metrics for OpenTelemetry out of the events alone, in the caller's own trace. Attributes are words of closed lists: nothing
// of a token, a person or a session is in them.
/** @module oidc-backchannel-logout/opentelemetry */
import {
  context,
  type Meter,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { EventListener, LogoutEvent } from '../events.js'

/** The tracer and the meter to write to; by default the global ones. */
export interface OpenTelemetryOptions {
  /** Default: the global provider's, named after this package. */
  readonly tracer?: Tracer | undefined
  readonly meter?: Meter | undefined
}

const NAME = 'oidc-backchannel-logout'

/**
 * The option `onEvent` of the receiver. Spans `oidc.backchannel_logout.receive` (a request, from its beginning to its answer) and
 * `oidc.backchannel_logout.logout` (the logout itself, also where it goes on in the background); they hang below the span that is
 * active, such as that of the HTTP instrumentation. Metrics have the unit `s` or are counts.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): EventListener {
  const tracer = options.tracer ?? trace.getTracer(NAME)
  const meter = options.meter ?? metrics.getMeter(NAME)
  const duration = meter.createHistogram('oidc.backchannel_logout.duration', {
    description: 'From request to answer',
    unit: 's',
    advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5] },
  })
  const ended = meter.createCounter('oidc.backchannel_logout.sessions_ended', { unit: '{session}' })
  const errors = meter.createCounter('oidc.backchannel_logout.errors', { unit: '{error}' })
  const deadSessions = meter.createCounter('oidc.backchannel_logout.dead_sessions_refused', { unit: '{session}' })
  const logins = meter.createCounter('oidc.backchannel_logout.logins_bound', { unit: '{login}' })

  /** A span that ends now and began when the event's work did. */
  const span = (name: string, durationSeconds: number, kind: SpanKind): Span => {
    const startTime = Date.now() - durationSeconds * 1000
    return tracer.startSpan(name, { kind, startTime }, context.active())
  }

  return (event) => {
    if ('error' in event) errors.add(1, errorAttributes(event))
    if (event.type === 'resurrection-blocked') deadSessions.add(1, { 'oidc.backchannel_logout.how': event.how })
    if (event.type === 'bound') logins.add(1, { 'oidc.backchannel_logout.ended': event.ended })
    if (event.type === 'refused')
      trace.getActiveSpan()?.addEvent('oidc.backchannel_logout.refused', errorAttributes(event))
    if (event.type === 'answer') {
      const attributes = { 'http.response.status_code': event.status }
      duration.record(event.durationSeconds, attributes)
      const received = span('oidc.backchannel_logout.receive', event.durationSeconds, SpanKind.INTERNAL)
      received.setAttributes(attributes)
      if (event.status !== 200) received.setStatus({ code: SpanStatusCode.ERROR })
      received.end()
    }
    if (event.type === 'logout' || event.type === 'logout-failed') {
      ended.add(event.destroyed, { 'oidc.backchannel_logout.scope': event.scope })
      const logout = span('oidc.backchannel_logout.logout', event.durationSeconds, SpanKind.INTERNAL)
      logout.setAttributes({
        'oidc.issuer': event.issuer,
        'oidc.client_id': event.clientId,
        'oidc.backchannel_logout.scope': event.scope,
        'oidc.backchannel_logout.found': event.found,
        'oidc.backchannel_logout.destroyed': event.destroyed,
        'oidc.backchannel_logout.background': event.background,
      })
      if (event.type === 'logout-failed') {
        logout.setAttributes(errorAttributes(event))
        logout.setStatus({ code: SpanStatusCode.ERROR, message: event.error.message })
      }
      logout.end()
    }
  }
}

function errorAttributes({ error }: Extract<LogoutEvent, { readonly error: unknown }>) {
  return {
    'error.type': error.code,
    ...(error.reason !== undefined && { 'oidc.backchannel_logout.reason': error.reason }),
  }
}
