// Spans and metrics for OpenTelemetry out of the events alone, in the caller's own trace. Attributes are words of
// closed lists: nothing of a token, a person or a session is in them.
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
import type { EventListener, LogoutEvent, StepTaken } from '../events.js'
import { assertOptions } from '../option-checks.js'
import { outboundCounts } from './outbound.js'

export { type TraceStoreOptions, traceStore } from './trace-store.js'

/** The tracer and the meter to write to; by default the global ones. */
export interface OpenTelemetryOptions {
  /** Default: the global provider's, named after this package. */
  readonly tracer?: Tracer | undefined
  readonly meter?: Meter | undefined
}

const NAME = 'oidc-backchannel-logout'
const NAMES = 'oidc.backchannel_logout.'
const EVENT_NAMES = { refused: 'refused', 'awaiting-keys': 'awaiting_keys' } as const

/** What an event says of the time that its work took. */
interface Timed {
  readonly durationSeconds: number
  readonly steps?: readonly StepTaken<string>[]
}

/**
 * The option `onEvent` of the receiver. Spans `oidc.backchannel_logout.receive` (a request, from its beginning to its
 * answer) and `oidc.backchannel_logout.logout` (the logout itself, also where it goes on in the background); they hang
 * below the span that is active, such as that of the HTTP instrumentation. Below them a span for each step: `….read`
 * and `….verify`; `….mark`, `….evict`, `….keep_tokens`, `….destroy`, `….announce`, `….remember`, `….reopen`. What
 * failed has the status `ERROR`. Metrics have the unit `s` or are counts. The global providers have to be set before the
 * first event, not before this is called.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): EventListener {
  assertOptions('openTelemetry()', options, { tracer: true, meter: true })
  const tracer = options.tracer ?? trace.getTracer(NAME)
  let made: ReturnType<typeof instrumentsOf> | undefined
  /** Not before the first event: what is asked of the global meter before its provider is set counts nothing, ever. */
  const instruments = () => (made ??= instrumentsOf(options.meter ?? metrics.getMeter(NAME)))

  /** A span that ends now and began when the event's work did, with its steps below it; to be finished by `fill`. */
  const span = (name: string, { durationSeconds, steps = [] }: Timed, fill: (span: Span) => void): void => {
    const now = Date.now()
    const startTime = now - durationSeconds * 1000
    const whole = tracer.startSpan(NAMES + name, { kind: SpanKind.INTERNAL, startTime }, context.active())
    fill(whole)
    // Nothing is made of the steps where nobody keeps the whole.
    const below = whole.isRecording() ? trace.setSpan(context.active(), whole) : undefined
    for (const { step, afterSeconds, durationSeconds, failed } of below ? steps : []) {
      const begun = startTime + afterSeconds * 1000
      const part = tracer.startSpan(NAMES + step.replace('-', '_'), { startTime: begun }, below)
      if (failed) part.setStatus({ code: SpanStatusCode.ERROR })
      part.end(Math.min(begun + durationSeconds * 1000, now))
    }
    whole.end(now)
  }

  return (event) => {
    const { duration, ended, errors, deadSessions, awaiting, outbound, logins } = instruments()
    if ('error' in event) errors.add(1, errorAttributes(event))
    if (event.type === 'resurrection-blocked') deadSessions.add(1, { 'oidc.backchannel_logout.how': event.how })
    if (event.type === 'bound') logins.add(1, { 'oidc.backchannel_logout.ended': event.ended })
    if (event.type === 'refused' || event.type === 'awaiting-keys')
      trace.getActiveSpan()?.addEvent(`oidc.backchannel_logout.${EVENT_NAMES[event.type]}`, errorAttributes(event))
    if (event.type === 'awaiting-keys') awaiting.add(1)
    for (const { what, outcome } of outboundCounts(event))
      outbound.add(1, { 'oidc.backchannel_logout.what': what, 'oidc.backchannel_logout.outcome': outcome })
    if (event.type === 'answer') {
      const attributes = { 'http.response.status_code': event.status }
      duration.record(event.durationSeconds, attributes)
      span('receive', event, (received) => {
        received.setAttributes(attributes)
        if (event.status !== 200) received.setStatus({ code: SpanStatusCode.ERROR })
      })
    }
    if (event.type === 'logout' || event.type === 'logout-failed') {
      ended.add(event.destroyed, { 'oidc.backchannel_logout.scope': event.scope })
      span('logout', event, (logout) => {
        logout.setAttributes({
          'oidc.issuer': event.issuer,
          'oidc.client_id': event.clientId,
          'oidc.backchannel_logout.scope': event.scope,
          'oidc.backchannel_logout.found': event.found,
          'oidc.backchannel_logout.destroyed': event.destroyed,
          'oidc.backchannel_logout.background': event.background,
        })
        if (event.type !== 'logout-failed') return
        logout.setAttributes(errorAttributes(event))
        logout.setStatus({ code: SpanStatusCode.ERROR, message: event.error.message })
      })
    }
  }
}

function errorAttributes({ error }: Extract<LogoutEvent, { readonly error: unknown }>) {
  return {
    'error.type': error.code,
    ...(error.reason !== undefined && { 'oidc.backchannel_logout.reason': error.reason }),
  }
}

function instrumentsOf(meter: Meter) {
  return {
    duration: meter.createHistogram('oidc.backchannel_logout.duration', {
      description: 'From request to answer',
      unit: 's',
      advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5] },
    }),
    ended: meter.createCounter('oidc.backchannel_logout.sessions_ended', { unit: '{session}' }),
    errors: meter.createCounter('oidc.backchannel_logout.errors', { unit: '{error}' }),
    deadSessions: meter.createCounter('oidc.backchannel_logout.dead_sessions_refused', { unit: '{session}' }),
    awaiting: meter.createCounter('oidc.backchannel_logout.tokens_awaiting_keys', { unit: '{token}' }),
    outbound: meter.createCounter('oidc.backchannel_logout.outbound', { unit: '{message}' }),
    logins: meter.createCounter('oidc.backchannel_logout.logins_bound', { unit: '{login}' }),
  }
}
