// The one ladder of a logout: token read -> believed -> ended -> answered. Both skins climb it; no rule lives in them.
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { type Answer, LOGGED_OUT, METHOD_NOT_ALLOWED, refusal } from '../http/answer.js'
import type { LogoutEngine } from '../logout/engine.js'
import { jtiKey, targetKey } from '../marks/target.js'
import { KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { LogoutToken } from '../tokens/verify-logout-token.js'

export interface ReceiverOptions {
  readonly verify: (token: string) => Promise<LogoutToken>
  readonly engine: LogoutEngine
  readonly emit: EventListener
  readonly clock: () => number
  /** From the request's headers to the answer. */
  readonly answerDeadlineSeconds: number
  readonly bodyLimitBytes: number
}

/** Answers one request in time, whatever happens; never rejects. `readToken` rejects with `ERR_REQUEST`. */
export async function receive(
  { method, readToken }: { readonly method: string | undefined; readonly readToken: () => Promise<string> },
  options: ReceiverOptions,
): Promise<Answer> {
  const { emit, clock } = options
  const started = clock()
  const answer = method === 'POST' ? await answerTo(readToken, started, options) : METHOD_NOT_ALLOWED
  emit({ type: 'answer', status: answer.status, durationSeconds: clock() - started })
  return answer
}

async function answerTo(readToken: () => Promise<string>, started: number, options: ReceiverOptions): Promise<Answer> {
  const { engine, clock, emit, answerDeadlineSeconds } = options
  const remaining = () => answerDeadlineSeconds - (clock() - started)
  try {
    const verified = options.verify(await readToken())
    const token = await within(remaining(), verified).catch((error: unknown) => {
      if (isDeadline(error)) finishLate(verified, options)
      throw error
    })
    const { replayed, error } = await engine.end(orderOf(token), remaining())
    if (replayed) return replayAnswer(token, emit)
    if (error === undefined) return LOGGED_OUT
    return refusal(error, token.provider.transientFailureStatus)
  } catch (thrown) {
    const error = asError(thrown)
    const answer = refusal(error, error instanceof KeysUnavailableError ? error.transientFailureStatus : 400)
    emit({ type: 'refused', status: answer.status, error })
    return answer
  }
}

/** The answer was due while keys were being fetched; a token that turns out to be good is not dropped for that. */
function finishLate(verified: Promise<LogoutToken>, { engine, answerDeadlineSeconds, emit }: ReceiverOptions): void {
  verified.then(
    (token) => engine.end(orderOf(token), answerDeadlineSeconds),
    (thrown: unknown) => emit({ type: 'warning', error: asError(thrown) }),
  )
}

function replayAnswer({ provider }: LogoutToken, emit: EventListener): Answer {
  const replay = new LogoutError('ERR_REPLAY', 'The logout of this jti was completed before')
  const answer = provider.replay === 'acknowledge' ? LOGGED_OUT : refusal(replay, 400)
  emit({ type: 'replay', ...provider.client, status: answer.status })
  return answer
}

function orderOf({ provider, target, issuedAt, jti, replayUntil, revokeOfflineAccess }: LogoutToken) {
  return {
    client: provider.client,
    key: targetKey(target),
    issuedAt,
    jti: { key: jtiKey(provider.client, jti), expiresAt: replayUntil },
    reason: 'logout-token',
    revokeOfflineAccess,
  }
}

function isDeadline(error: unknown): boolean {
  return error instanceof LogoutError && error.code === 'ERR_DEADLINE'
}

/** Nothing unknown gets past here: an unforeseen throw is a failed logout, not a broken host application. */
function asError(thrown: unknown): LogoutError {
  if (thrown instanceof LogoutError) return thrown
  return new LogoutError('ERR_UNEXPECTED', 'The receiver failed in a way it should not', { cause: thrown })
}
