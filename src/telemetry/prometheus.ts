// Metrics for Prometheus, by prom-client, out of the events alone. Labels are words of closed lists: nothing of a
// token, a person or a session is in them. Knows no store and no receiver.
/** @module oidc-backchannel-logout/prometheus */
import { Counter, register as defaultRegister, Gauge, Histogram, type Registry } from 'prom-client'
import type { EventListener, LogoutEvent } from '../events.js'
import { assertOptions } from '../option-checks.js'
import { outboundCounts } from './outbound.js'

/** Where the metrics are registered, and what is read when they are scraped. */
export interface PrometheusOptions {
  /** Default: prom-client's own. */
  readonly register?: Registry | undefined
}

/** What `health()` of the receiver says, as far as it is measured. */
export interface Watched {
  health(): Promise<{
    readonly store: 'ok' | 'unreachable'
    readonly pending: number
    readonly keys: readonly { readonly ageSeconds?: number | undefined }[]
  }>
}

/** What an application holds of the metrics. */
export interface PrometheusMetrics {
  /** The option `onEvent` of the receiver. */
  readonly onEvent: EventListener
  /**
   * Measures at each scrape what no event says: whether the store answers, what is still pending, how old the oldest
   * keys are.
   */
  watch(logout: Watched): void
}

type Outcome = 'done' | 'failed' | 'refused' | 'replayed'

/** From a quick answer to the deadline of the most patient provider. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5]
/** Refusals that say "not now" rather than "not this". */
const TRANSIENT = [
  'ERR_KEYS_UNAVAILABLE',
  'ERR_STORE',
  'ERR_DEADLINE',
  'ERR_SESSIONS',
  'ERR_EVICT',
  'ERR_HOOK',
  'ERR_UNEXPECTED',
]

/** What prom-client says of this names a metric, and not what to do. */
function assertNew(register: Registry, name: string, remedy: string): void {
  if (register.getSingleMetric(name) === undefined) return
  throw new Error(`The metric ${name} is registered already: ${remedy}`)
}

/** Registers the metrics; throws if they are in the registry already. */
export function prometheusMetrics(options: PrometheusOptions = {}): PrometheusMetrics {
  assertOptions('prometheusMetrics()', options, { register: true })
  const { register = defaultRegister } = options
  const registers = [register]
  assertNew(
    register,
    'oidc_backchannel_logout_requests_total',
    'call prometheusMetrics() once for each registry, and give its onEvent to each receiver; or give each a registry of its own, { register }',
  )
  const requests = new Counter({
    name: 'oidc_backchannel_logout_requests_total',
    help: 'Requests to the receiver by what came of them',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of ['done', 'failed', 'refused', 'replayed'] satisfies Outcome[]) requests.inc({ outcome }, 0)
  const duration = new Histogram({
    name: 'oidc_backchannel_logout_duration_seconds',
    help: 'From request to answer',
    buckets: DURATION_BUCKETS,
    registers,
  })
  const ended = new Counter({
    name: 'oidc_backchannel_logout_sessions_ended_total',
    help: 'Sessions that logouts destroyed, by what the logout named',
    labelNames: ['scope'],
    registers,
  })
  const deadSessions = new Counter({
    name: 'oidc_backchannel_logout_dead_sessions_refused_total',
    help: 'Times that an ended session was presented or written again, and stayed ended',
    labelNames: ['how'],
    registers,
  })
  const errors = new Counter({
    name: 'oidc_backchannel_logout_errors_total',
    help: 'Refusals, failures and warnings by code and reason',
    labelNames: ['code', 'reason'],
    registers,
  })
  const logins = new Counter({
    name: 'oidc_backchannel_logout_logins_bound_total',
    help: 'Logins that were bound; ended: a logout of that sign-on had come first',
    labelNames: ['ended'],
    registers,
  })
  const awaiting = new Counter({
    name: 'oidc_backchannel_logout_tokens_awaiting_keys_total',
    help: 'Logout Tokens that were kept until keys of their provider can be had',
    registers,
  })
  const outbound = new Counter({
    name: 'oidc_backchannel_logout_outbound_total',
    help: 'What was asked of others or told them, by what came of it',
    labelNames: ['what', 'outcome'],
    registers,
  })
  const outcomes = new Outcomes((outcome) => requests.inc({ outcome }))

  return {
    onEvent(event) {
      outcomes.hear(event)
      if ('error' in event) errors.inc({ code: event.error.code, reason: event.error.reason ?? 'none' })
      if (event.type === 'answer') duration.observe(event.durationSeconds)
      if (event.type === 'logout' || event.type === 'logout-failed') ended.inc({ scope: event.scope }, event.destroyed)
      if (event.type === 'resurrection-blocked') deadSessions.inc({ how: event.how })
      if (event.type === 'awaiting-keys') awaiting.inc()
      for (const { what, outcome } of outboundCounts(event)) outbound.inc({ what, outcome })
      if (event.type === 'bound') logins.inc({ ended: String(event.ended) })
    },
    watch: (logout) => {
      const remedy =
        'call watch() once for each registry; for another receiver take prometheusMetrics({ register }) of its own'
      assertNew(register, 'oidc_backchannel_logout_store_up', remedy)
      watch(logout, registers)
    },
  }
}

/** A request is explained by one event at most and then answered; what nobody explained says its status. */
class Outcomes {
  readonly #count: (outcome: Outcome) => void
  readonly #explained = new Map<number, number>()

  constructor(count: (outcome: Outcome) => void) {
    this.#count = count
  }

  hear(event: LogoutEvent): void {
    if (event.type === 'refused') {
      this.#explain(event.status, TRANSIENT.includes(event.error.code) ? 'failed' : 'refused')
    } else if (event.type === 'replay') {
      this.#explain(event.status, 'replayed')
    } else if (event.type === 'answer') {
      const explained = this.#explained.get(event.status) ?? 0
      if (explained > 0) this.#explained.set(event.status, explained - 1)
      else this.#count(event.status === 200 ? 'done' : event.status === 405 ? 'refused' : 'failed')
    }
  }

  #explain(status: number, outcome: Outcome): void {
    this.#explained.set(status, (this.#explained.get(status) ?? 0) + 1)
    this.#count(outcome)
  }
}

function watch(logout: Watched, registers: Registry[]): void {
  // One question to the store for the three of them, since a scrape collects them at the same time.
  let asked: ReturnType<Watched['health']> | undefined
  const health = () => {
    asked ??= logout.health().finally(() => {
      asked = undefined
    })
    return asked
  }
  new Gauge({
    name: 'oidc_backchannel_logout_store_up',
    help: '1 if the logout store answers',
    registers,
    async collect() {
      this.set((await health()).store === 'ok' ? 1 : 0)
    },
  })
  new Gauge({
    name: 'oidc_backchannel_logout_pending',
    help: 'Verified logouts that are not complete yet and are tried again by this process',
    registers,
    async collect() {
      this.set((await health()).pending)
    },
  })
  new Gauge({
    name: 'oidc_backchannel_logout_key_age_seconds',
    help: 'Age of the oldest provider keys at hand',
    registers,
    async collect() {
      const ages = (await health()).keys.flatMap(({ ageSeconds }) => (ageSeconds === undefined ? [] : [ageSeconds]))
      if (ages.length > 0) this.set(Math.max(...ages))
    },
  })
}
