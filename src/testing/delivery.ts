// How OpenID Providers deliver a Logout Token: one POST, and each known provider's habit of sending it again. Knows no
// receiver beyond its URL, and signs nothing.
import { connect } from 'node:net'
import { assertOptions, type OptionNames } from '../option-checks.js'
import { assertChange, type Change } from './token-change.js'
import type { TokenMint } from './token-mint.js'

/** What a delivery got. `status` is absent where no answer came: refused, cut or timed out. */
export interface DeliveryAnswer {
  readonly status: number | undefined
  readonly headers: Headers
  readonly body: string
  /** There where `status` is absent. */
  readonly noAnswer?: NoAnswer
}

/** Why no answer came. */
export interface NoAnswer {
  /**
   * - `refused`: nothing listens there.
   * - `unreachable`: no connection was made, for another reason.
   * - `timed-out`: a connection was made, and the answer was not there in time.
   * - `cut`: the connection ended before the answer did.
   */
  readonly how: 'refused' | 'unreachable' | 'timed-out' | 'cut'
  /** The network's own word, such as `ECONNREFUSED`; `undefined` where the time was over. */
  readonly code: string | undefined
  /** How long was waited at most. */
  readonly withinSeconds: number
}

/** How a Logout Token is delivered. */
export interface DeliveryOptions {
  /** Further form parameters beside `logout_token`. */
  readonly parameters?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Default: 10. */
  readonly timeoutSeconds?: number
  /** Default: `false`; providers that follow take the page they land on for the answer. */
  readonly followRedirects?: boolean
}

/** When and how a provider sends a Logout Token again. Facts read in the providers' sources and documentation. */
export interface DeliveryHabit {
  readonly timeoutSeconds?: number
  /** Statuses taken for success. */
  readonly success: readonly number[] | 'any 2xx' | 'any'
  /** Attempts in all, the first included. */
  readonly attempts: number
  /** What leads to another attempt. */
  readonly retriesOn: readonly ('4xx' | '5xx' | 'transport')[]
  /** What another attempt sends: the same token; the same `jti` newly dated and signed; a new token. */
  readonly again: 'same-token' | 'same-jti' | 'fresh-token'
  readonly followRedirects: boolean
}

/** Delivery habits by the name of the provider's preset. */
export const DELIVERY_HABITS = {
  keycloak: { timeoutSeconds: 5, success: [200, 204], ...once(), followRedirects: false },
  'ory-hydra': {
    timeoutSeconds: 30,
    success: [200, 204],
    attempts: 3,
    retriesOn: ['5xx', 'transport'],
    again: 'same-token',
    followRedirects: true,
  },
  duende: { timeoutSeconds: 10, success: 'any 2xx', ...once(), followRedirects: true },
  'oidc-provider': { timeoutSeconds: 2.5, success: [200, 204], ...once(), followRedirects: false },
  auth0: { timeoutSeconds: 5, success: [200], ...once(), followRedirects: false },
  zitadel: {
    timeoutSeconds: 5,
    success: [200, 202, 204, 400],
    attempts: 3,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'same-jti',
    followRedirects: true,
  },
  authentik: {
    timeoutSeconds: 10,
    success: 'any 2xx',
    attempts: 5,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: true,
  },
  'govuk-one-login': {
    timeoutSeconds: 15,
    success: [200],
    attempts: 3,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: false,
  },
  rauthy: {
    timeoutSeconds: 10,
    success: 'any 2xx',
    attempts: 100,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: true,
  },
  casdoor: { success: 'any', ...once(), followRedirects: true },
  wso2: { timeoutSeconds: 30, success: 'any', ...once(), followRedirects: false },
  janssen: { timeoutSeconds: 30, success: 'any', ...once(), followRedirects: true },
  simplesamlphp: { timeoutSeconds: 3, success: 'any', ...once(), followRedirects: true },
  'better-auth': { timeoutSeconds: 5, success: [200, 204], ...once(), followRedirects: false },
  connect2id: {
    success: 'any',
    attempts: 3,
    retriesOn: ['transport'],
    again: 'same-token',
    followRedirects: false,
  },
} as const satisfies Readonly<Record<string, DeliveryHabit>>

/** A provider whose delivery habits are known. */
export type DeliveringProvider = keyof typeof DELIVERY_HABITS

/** One delivery with all its attempts. */
export interface HabitualDelivery {
  readonly attempts: readonly DeliveryAnswer[]
  /** Whether the OP is now at peace, rightly or not. */
  readonly takenForDone: boolean
}

/** How a delivery with the habits of a known provider is made. */
export interface HabitualDeliveryOptions {
  readonly change?: Change
  /** Called between two attempts, in place of the time the provider would wait. */
  readonly beforeRetry?: (attempt: number) => void | Promise<void>
}

const NAMES: OptionNames<DeliveryOptions> = {
  parameters: true,
  headers: true,
  timeoutSeconds: true,
  followRedirects: true,
}
const HABITUAL_NAMES: OptionNames<HabitualDeliveryOptions> = { change: true, beforeRetry: true }

/** One POST of BCL 2.5. Rejects for an option that it does not have alone. */
export async function deliver(url: string, token: string, options: DeliveryOptions = {}): Promise<DeliveryAnswer> {
  assertOptions('deliver()', options, NAMES)
  return post(url, token, options)
}

async function post(url: string, token: string, options: DeliveryOptions): Promise<DeliveryAnswer> {
  const { parameters = {}, headers = {}, timeoutSeconds = 10, followRedirects = false } = options
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', ...headers },
      body: new URLSearchParams({ logout_token: token, ...parameters }),
      redirect: followRedirects ? 'follow' : 'manual',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    })
    return { status: response.status, headers: response.headers, body: await response.text() }
  } catch (error) {
    const noAnswer = await noAnswerOf(error, url, timeoutSeconds)
    return { status: undefined, headers: new Headers(), body: '', noAnswer }
  }
}

/** What ends a connection that was there: a socket's own codes, and a peer that speaks no HTTP. */
const CUT = /^(?:ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|HPE_\w+)$/
/** Asked only where the time was over: whoever takes connections does so at once. */
const CONNECT_TIMEOUT_MS = 1000

async function noAnswerOf(error: unknown, url: string, withinSeconds: number): Promise<NoAnswer> {
  if (Object(error).name === 'TimeoutError') {
    const how = (await takesConnections(url)) ? 'timed-out' : 'unreachable'
    return { how, code: undefined, withinSeconds }
  }
  const { cause } = Object(error)
  // A name with several addresses fails once for each: `localhost` is ::1 and 127.0.0.1.
  const each: readonly unknown[] = Object(cause).errors ?? []
  const isRefused = [cause, ...each].some((failure) => Object(failure).code === 'ECONNREFUSED')
  const code = String(isRefused ? 'ECONNREFUSED' : (Object(cause).code ?? Object(cause).message ?? error))
  return { how: isRefused ? 'refused' : CUT.test(code) ? 'cut' : 'unreachable', code, withinSeconds }
}

/** `fetch` does not say whether it waited for a connection or for an answer. */
function takesConnections(url: string): Promise<boolean> {
  const { protocol, hostname, port } = new URL(url)
  const usual = protocol === 'https:' ? 443 : 80
  const socket = connect({ host: hostname.replaceAll(/[[\]]/g, ''), port: port === '' ? usual : Number(port) })
  return new Promise((resolve) => {
    const end = (isConnected: boolean) => {
      socket.destroy()
      resolve(isConnected)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => end(false))
  })
}

function isSuccess({ success }: DeliveryHabit, { status }: DeliveryAnswer): boolean {
  if (status === undefined) return false
  if (success === 'any') return true
  return success === 'any 2xx' ? status >= 200 && status < 300 : success.includes(status)
}

function isRetried({ retriesOn }: DeliveryHabit, { status }: DeliveryAnswer): boolean {
  if (status === undefined) return retriesOn.includes('transport')
  return status >= 500 ? retriesOn.includes('5xx') : retriesOn.includes('4xx')
}

function once(): Pick<DeliveryHabit, 'attempts' | 'retriesOn' | 'again'> {
  return { attempts: 1, retriesOn: [], again: 'same-token' }
}

/** One logout as the named provider delivers it, retries included, at once and without waiting. */
export async function deliverAs(
  provider: DeliveringProvider,
  url: string,
  mint: TokenMint,
  options: HabitualDeliveryOptions = {},
): Promise<HabitualDelivery> {
  assertOptions('deliverAs()', options, HABITUAL_NAMES)
  const { change = {}, beforeRetry } = options
  assertChange('change', change)
  const habit: DeliveryHabit = DELIVERY_HABITS[provider]
  const attempts: DeliveryAnswer[] = []
  const jti = change.payload?.jti ?? crypto.randomUUID()
  const issue = () => mint.logoutToken({ ...change, payload: { ...change.payload, jti } })
  let token = await issue()
  for (;;) {
    const answer = await post(url, token, habit)
    attempts.push(answer)
    if (isSuccess(habit, answer)) return { attempts, takenForDone: true }
    if (!isRetried(habit, answer) || attempts.length === habit.attempts) return { attempts, takenForDone: false }
    await beforeRetry?.(attempts.length)
    if (habit.again === 'same-jti') token = await issue()
    if (habit.again === 'fresh-token') token = await mint.logoutToken(change)
  }
}
