// The one ladder of a back-channel logout (BCL 2.5 to 2.8): token read -> believed -> ended -> answered. Knows no skin.
import { type GiveUp, milliseconds } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import type { Answer, ReceivedRequest, Respond } from '../http/answer.js'
import type { LogoutEngine } from '../logout/engine.js'
import { StepTimes } from '../logout/step-times.js'
import { jtiKey, targetKey } from '../marks/target.js'
import { KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { LogoutToken, LogoutTokens } from '../tokens/logout-token.js'
import { LOGGED_OUT, METHOD_NOT_ALLOWED, refusalAnswer } from './backchannel-answers.js'
import type { KeptTokens } from './kept-tokens.js'

export interface BackchannelOptions {
  /** `giveUp` ends the wait for keys. */
  readonly verify: (token: string, giveUp: GiveUp) => Promise<LogoutTokens>
  readonly engine: LogoutEngine
  /** Where tokens wait that cannot be verified now. */
  readonly kept: KeptTokens
  readonly emit: EventListener
  /** From the request's headers to the answer. */
  readonly answerDeadlineSeconds: number
}

type ReceiverSteps = StepTimes<'read' | 'verify'>

/** Answers one request in time, whatever happens; never rejects. */
export function backchannelReceiver(options: BackchannelOptions): Respond {
  const { emit } = options
  return async (request) => {
    const steps: ReceiverSteps = new StepTimes()
    const answer = request.method === 'POST' ? await answerTo(request, steps, options) : METHOD_NOT_ALLOWED
    emit({ type: 'answer', status: answer.status, durationSeconds: steps.elapsedSeconds(), steps: steps.taken })
    return answer
  }
}

async function answerTo(request: ReceivedRequest, steps: ReceiverSteps, options: BackchannelOptions): Promise<Answer> {
  const { emit, answerDeadlineSeconds } = options
  const remaining = () => answerDeadlineSeconds - steps.elapsedSeconds()
  let token: string | undefined
  let over: ((failed: boolean) => void) | undefined = steps.begin('read')
  try {
    token = await request.readField('logout_token')
    over(false)
    over = steps.begin('verify')
    const tokens = await options.verify(token, () => AbortSignal.timeout(milliseconds(remaining())))
    over(false)
    over = undefined
    options.kept.prove(tokens, request.sender)
    return await endEach(tokens, remaining, options)
  } catch (thrown) {
    over?.(true)
    const error = asError(thrown)
    const mayBeGood = error instanceof KeysUnavailableError
    if (mayBeGood && token !== undefined) options.kept.keep(token, error, request.sender)
    const answer = refusalAnswer(error, mayBeGood ? error.transientFailureStatus : 400)
    emit({ type: 'refused', status: answer.status, error })
    return answer
  }
}

/** A token for several of our clients is one order for each. The OP hears 200 if nothing of any of them is left. */
async function endEach(
  tokens: LogoutTokens,
  remaining: () => number,
  { engine, emit }: BackchannelOptions,
): Promise<Answer> {
  const ended = await Promise.all(
    tokens.map(async (token) => ({ token, ...(await engine.end(orderOf(token), remaining())) })),
  )
  const failed = ended.find(({ error }) => error !== undefined)
  if (failed?.error !== undefined) return refusalAnswer(failed.error, failed.token.provider.transientFailureStatus)
  const replays = ended.filter(({ replayed }) => replayed).map(({ token }) => replayAnswer(token, emit))
  return replays.length < ended.length ? LOGGED_OUT : (replays[0] ?? LOGGED_OUT)
}

function replayAnswer({ provider }: LogoutToken, emit: EventListener): Answer {
  const replay = new LogoutError('ERR_REPLAY', 'The logout of this jti was completed before')
  const answer = provider.replay === 'acknowledge' ? LOGGED_OUT : refusalAnswer(replay, 400)
  emit({ type: 'replay', ...provider.client, status: answer.status })
  return answer
}

/** What the engine is to end: what the token names, or more of the same subject where the provider's policy says so. */
export function orderOf({ provider, target: named, issuedAt, jti, replayUntil, revokeOfflineAccess }: LogoutToken) {
  const { client, policy } = provider
  const { sub } = named
  const target = policy.logoutToken.sessions === 'of-subject' && sub !== undefined ? { ...client, sub } : named
  return {
    client,
    key: targetKey(target),
    target,
    issuedAt,
    jti: { key: jtiKey(provider.client, jti), expiresAt: replayUntil },
    reason: 'logout-token',
    revokeOfflineAccess,
    refreshTokens: policy.logoutToken.refreshTokens,
  }
}

/** Nothing unknown gets past here: an unforeseen throw is a failed logout, not a broken host application. */
function asError(thrown: unknown): LogoutError {
  if (thrown instanceof LogoutError) return thrown
  return new LogoutError('ERR_UNEXPECTED', 'The receiver failed in a way it should not', { cause: thrown })
}
