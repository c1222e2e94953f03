// What is asked of others or told them, as counts, said once for Prometheus and OpenTelemetry. Every event of the
// package stands here, if only to say where else it is measured, or that it is not. Knows neither library.
import type { LogoutEvent } from '../events.js'

/** `outcome`: a word of the event's own closed list. */
export interface OutboundCount {
  readonly what: 'logout-token' | 'revalidation' | 'revocation' | 'passed-on'
  readonly outcome: string
}

/** An event that is added to the package and has no case here does not compile. */
export function outboundCounts(event: LogoutEvent): readonly OutboundCount[] {
  switch (event.type) {
    case 'logout-token-sent':
      return [{ what: 'logout-token', outcome: event.outcome }]
    case 'revalidated':
      return [{ what: 'revalidation', outcome: event.found }]
    case 'tokens-revoked':
      return [{ what: 'revocation', outcome: event.outcome }]
    case 'passed-on':
      return event.hops.map(({ outcome }) => ({ what: 'passed-on', outcome }))
    // Each of these has an instrument of its own.
    case 'logout':
    case 'logout-failed':
    case 'refused':
    case 'awaiting-keys':
    case 'replay':
    case 'answer':
    case 'bound':
    case 'resurrection-blocked':
    // Its error is counted, as that of every event.
    case 'warning':
    // A user's own click: nothing is wrong, and no provider had a part in it.
    case 'unbound':
      return []
  }
}
