// A span for each question to a store, and so for each step of a logout that is the store's. Knows of the store only
// that its methods return an answer or a promise of one, and puts nothing of questions or answers into a span.
import { SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { assertOptions } from '../option-checks.js'

/** Where the spans of `traceStore` go. */
export interface TraceStoreOptions {
  /** Default: the global provider's, named after this package. */
  readonly tracer?: Tracer | undefined
}

/**
 * The same logout store, each of whose questions is a span `oidc.backchannel_logout.store.<method>` below the span that
 * is active: of a logout, `begin` (the replay check, the mark and the sessions that it covers) and `complete` (their
 * bindings and the `jti`); of a login, `bind`; of a guarded request, `read`. To be given as the option `store`. What
 * fails has the status `ERROR` and the name of the error, and not its message, which is the driver's.
 */
export function traceStore<Store extends object>(store: Store, options: TraceStoreOptions = {}): Store {
  assertOptions('traceStore()', options, { tracer: true })
  const tracer = options.tracer ?? trace.getTracer('oidc-backchannel-logout')
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      return (...args: unknown[]) => traced(tracer, name, () => Reflect.apply(member, target, args))
    },
  })
}

function traced(tracer: Tracer, method: string, ask: () => unknown): unknown {
  const name = `oidc.backchannel_logout.store.${method}`
  return tracer.startActiveSpan(name, { kind: SpanKind.CLIENT }, (span) => {
    const failed = (error: unknown): never => {
      span.setStatus({ code: SpanStatusCode.ERROR })
      span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown')
      span.end()
      throw error
    }
    let answer: unknown
    try {
      answer = ask()
    } catch (error) {
      return failed(error)
    }
    if (!(answer instanceof Promise)) {
      span.end()
      return answer
    }
    return answer.then((value: unknown) => {
      span.end()
      return value
    }, failed)
  })
}
