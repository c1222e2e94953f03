// The Single Logout Service (Profiles 4.4): a message received -> verified -> judged -> what it names is
// ended -> answered. Reads no XML and verifies nothing itself.
import { monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import type { Answer, ReceivedRequest, Respond } from '../http/answer.js'
import { badRequest } from '../http/bad-request.js'
import type { LogoutResult } from '../logout/logout-order.js'
import type { LogoutTarget } from '../marks/target.js'
import { onTo, sentence } from './answers.js'
import { type LogoutMessageRules, type LogoutRequest, type LogoutResponse, logoutMessage } from './logout-messages.js'
import { sidOf, subOf } from './name-id.js'
import type { OpenRequests } from './open-requests.js'
import { type ReceivedMessage, received, redirectMessage } from './redirect-query.js'
import { samlRefusal } from './refusals.js'
import type { SamlStatus, SignedMessages } from './signed-messages.js'
import type { VerifiedMessages } from './verified-messages.js'

/**
 * What came of a logout that began here, by the identity provider's own word: `unknown` where it answers no request of
 * this browser's. The session here was ended before, whatever it says.
 */
export type SamlLogoutOutcome = 'done' | 'partial' | 'failed' | 'unknown'

/** One message, and what is to be ended by it. */
export interface OrderedLogout {
  readonly target: LogoutTarget
  readonly message: { readonly id: string; readonly issuedAt: number; readonly expiresAt: number }
}

export interface SingleLogoutServiceOptions {
  readonly rules: LogoutMessageRules
  readonly verified: VerifiedMessages
  readonly signed: SignedMessages
  readonly open: OpenRequests
  /** Never rejects. */
  readonly end: (logout: OrderedLogout, deadlineSeconds: number) => Promise<LogoutResult>
  readonly landingPage: (outcome: SamlLogoutOutcome) => string
  readonly replay: 'refuse' | 'acknowledge'
  readonly answerDeadlineSeconds: number
  /** Of a message as well, where a body parser of the application read the body. */
  readonly bodyLimitBytes: number
  readonly emit: EventListener
  readonly clock: () => number
}

const METHOD_NOT_ALLOWED = sentence(405, 'A SAML message comes by GET or POST', { Allow: 'GET, POST' })
const REFUSED = sentence(400, 'The SAML message was refused')
const NOT_NOW = sentence(503, 'The SAML message cannot be checked at the moment', { 'Retry-After': '1' })
const NOT_ANSWERED = sentence(500, 'The SAML message could not be answered')

/** For the LogoutResponse, where the logout took all the time there was: what became of it is to be said. */
const LEAST_FOR_RESPONSE_SECONDS = 1

/** Answers one request in time, whatever happens; never rejects. */
export function singleLogoutService(options: SingleLogoutServiceOptions): Respond {
  const { emit } = options
  return async (request) => {
    const started = monotonicSeconds()
    const answer = await answerTo(request, started, options)
    emit({ type: 'answer', status: answer.status, durationSeconds: monotonicSeconds() - started })
    return answer
  }
}

async function answerTo(
  request: ReceivedRequest,
  started: number,
  options: SingleLogoutServiceOptions,
): Promise<Answer> {
  const remaining = () => options.answerDeadlineSeconds - (monotonicSeconds() - started)
  try {
    const received = await receivedMessage(request, options.bodyLimitBytes)
    if (received === undefined) return METHOD_NOT_ALLOWED
    // node-saml asks for certificates by a callback that is the application's, and may be extended in other ways.
    const document = await options.verified.verify(received, remaining)
    const message = logoutMessage(document, options.rules, options.clock())
    if ((message.kind === 'request') !== (received.kind === 'SAMLRequest')) throw samlRefusal('message_unusable')
    if (message.kind === 'response') return landed(message, request.cookies, options)
    return await ended(message, received.relayState, remaining, options)
  } catch (thrown) {
    const error =
      thrown instanceof LogoutError
        ? thrown
        : new LogoutError('ERR_UNEXPECTED', 'The receiver failed in a way it should not', { cause: thrown })
    const answer = refusalOf(error)
    options.emit({ type: 'refused', status: answer.status, error })
    return answer
  }
}

/** By its code or its reason: what a later try can cure is no fault of the message. */
function refusalOf({ code, reason }: LogoutError): Answer {
  if (code === 'ERR_DEADLINE' || reason === 'keys_unavailable') return NOT_NOW
  return code === 'ERR_UNEXPECTED' || reason === 'not_answered' ? NOT_ANSWERED : REFUSED
}

async function receivedMessage(request: ReceivedRequest, bodyLimitBytes: number): Promise<ReceivedMessage | undefined> {
  if (request.method === 'GET') return redirectMessage(request.url)
  if (request.method !== 'POST') return undefined
  const form = await request.readForm()
  const names = ['SAMLRequest', 'SAMLResponse', 'RelayState'] as const
  const fields = names.flatMap((name) => {
    const value = form.optional(name)
    if (value !== undefined && value.length > bodyLimitBytes) throw badRequest('body_too_large')
    return value === undefined ? [] : [[name, value] as const]
  })
  return received('post', Object.fromEntries(fields), '')
}

/** What the message names is ended, all of it or as far as it came; the identity provider hears which. */
async function ended(
  request: LogoutRequest,
  relayState: string | undefined,
  remaining: () => number,
  options: SingleLogoutServiceOptions,
): Promise<Answer> {
  const { signed, rules, emit, replay } = options
  const deadlineSeconds = remaining()
  const logouts = orderedLogouts(request, rules)
  const results = await Promise.all(logouts.map((logout) => options.end(logout, deadlineSeconds)))
  const isReplay = results.every(({ replayed }) => replayed === true)
  const status = isReplay ? (replay === 'acknowledge' ? 'success' : 'refused') : statusOf(results)
  const responseUrl = signed.responseUrl(request.id, status, relayState)
  const seconds = Math.max(remaining(), LEAST_FOR_RESPONSE_SECONDS)
  const answer = await within(seconds, responseUrl).then(onTo, (cause: unknown) => {
    throw samlRefusal('not_answered', cause)
  })
  if (isReplay) emit({ type: 'replay', ...rules.client, status: answer.status })
  return answer
}

/**
 * `partial`: every mark is written, so that no node lets anybody in, but some session is still to be destroyed, which is
 * tried again. `failed`: without its mark a logout may not hold at another node.
 */
function statusOf(results: readonly LogoutResult[]): SamlStatus {
  if (results.every(({ complete }) => complete)) return 'success'
  return results.every(({ marked, replayed }) => marked || replayed) ? 'partial' : 'failed'
}

/**
 * The sessions of each SessionIndex, or all of the NameID where none is given (Core 3.7.1): one order for each, which
 * is remembered by itself, so that a repeat does what was not done.
 */
function orderedLogouts(request: LogoutRequest, rules: LogoutMessageRules): readonly OrderedLogout[] {
  const { id, issuedAt, notOnOrAfter, nameId, sessionIndexes } = request
  const { client, clockToleranceSeconds } = rules
  const times = { issuedAt, expiresAt: notOnOrAfter + clockToleranceSeconds }
  const sub = subOf(nameId, client)
  if (sessionIndexes.length === 0) return [{ target: { ...client, sub }, message: { id, ...times } }]
  return sessionIndexes.map((index) => {
    const sid = sidOf(nameId, index, client)
    return { target: { ...client, sub, sid }, message: { id: JSON.stringify([id, index]), ...times } }
  })
}

/** Back from a logout that began here: on to a page of ours, which nothing in the message chooses. */
function landed(
  { inResponseTo, outcome }: LogoutResponse,
  cookies: string | undefined,
  { open, landingPage }: SingleLogoutServiceOptions,
): Answer {
  const isAnswer = open.has(inResponseTo, cookies)
  return onTo(
    landingPage(isAnswer ? outcome : 'unknown'),
    isAnswer ? { 'Set-Cookie': open.closed(inResponseTo, cookies) } : {},
  )
}
