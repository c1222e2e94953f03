// `send`: a Logout Token by a throw-away OpenID Provider to a receiver that was told to trust it; one, one with a
// defect, or all.
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { decodeJwt } from 'jose/jwt/decode'
import type { Defect } from '../testing/defects.js'
import { DEFECTS } from '../testing/defects.js'
import type { DeliveryAnswer } from '../testing/delivery.js'
import { createFakeOp, type FakeOp } from '../testing/fake-op.js'
import { errorIn, explainRefusal, explainSilence, explainSuccess } from '../testing/receiver-answer.js'
import type { Change } from '../testing/token-change.js'
import { defectNamed, presetNamed } from './names.js'
import { conclude, type ExitCode, type Finding, progress, shown, type Terminal, UsageError } from './report.js'

/**
 * A receiver that was started before this command could not have its keys, and asks again only after a while: longer
 * than its first waits, which double from half a second.
 */
const ASK_AGAIN_AFTER_MS = 1000
const MOST_TIMES = 20
/** As long as an application may take to start, and whoever starts it. In seconds it is the same. */
export const LISTEN_MOST_TIMES = 60

export interface SendOrder {
  readonly uri: string
  readonly clientId: string
  readonly sub: string | undefined
  readonly sid: string | undefined
  readonly defect: string | undefined
  readonly all: boolean
  readonly port: number
  readonly as: string | undefined
  readonly json: boolean
}

export async function send(order: SendOrder, terminal: Terminal): Promise<ExitCode> {
  if (!URL.canParse(order.uri)) throw new UsageError('send: the receiver’s address is no URL')
  if (order.sub === undefined && order.sid === undefined) throw new UsageError('send needs --sub or --sid, or both')
  if (order.all && order.defect !== undefined) throw new UsageError('--all and --defect exclude each other')
  const as = order.as === undefined ? undefined : presetNamed('--as', order.as)
  const defect = order.defect === undefined ? undefined : defectNamed(order.defect)
  const op = await createFakeOp({
    clientId: order.clientId,
    port: order.port,
    ...(as !== undefined && { as }),
    ...(order.sub !== undefined && { sub: order.sub }),
    ...(order.sid !== undefined && { sid: order.sid }),
  }).catch((error: unknown) => {
    throw new UsageError(`port ${order.port} cannot be used (${Object(error).code}); choose another by --port`)
  })
  try {
    terminal.err(`the receiver must trust the throw-away provider of this command: ${settingsOf(op)}\n`)
    const findings = order.all ? await sendAll(op, order, terminal) : await sendOne(op, order, defect, terminal)
    return conclude(findings, terminal, order)
  } finally {
    await op.close()
  }
}

async function sendOne(
  op: FakeOp,
  order: SendOrder,
  defect: Defect | undefined,
  terminal: Terminal,
): Promise<readonly Finding[]> {
  const token = defect === undefined ? await op.mint.logoutToken(targetOf(order)) : await op.mint.defective(defect)
  const answer = await patientDelivery(op, order, terminal)(token)
  const exchange: readonly Finding[] = [
    { level: 'note', about: 'sent', words: `POST ${shown(order.uri)} logout_token=${described(token)}` },
    {
      level: 'note',
      about: 'answered',
      words: `${inWords(answer)}; Cache-Control: ${shown(answer.headers.get('cache-control') ?? 'none')}`,
    },
  ]
  const explanation = defect === undefined ? explainSuccess(answer, op) : explainRefusal(answer)
  if (explanation === undefined) {
    const words = defect === undefined ? 'the logout was done' : `${defect} was refused, as it should be`
    return [...exchange, { level: 'ok', about: 'verdict', words }]
  }
  return [...exchange, verdictOf(explanation)]
}

/** Every rule in turn, and then the token that breaks none: a receiver that refuses everything keeps no rule either. */
async function sendAll(op: FakeOp, order: SendOrder, terminal: Terminal): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  const deliver = patientDelivery(op, order, terminal)
  const tolerated: readonly Defect[] = op.shape.tolerated ?? []
  for (const [done, { name, rule }] of DEFECTS.entries()) {
    if (done % 20 === 0) progress(terminal, `${done} of ${DEFECTS.length} broken tokens sent`)
    if (tolerated.includes(name)) continue
    const answer = await deliver(await op.mint.defective(name))
    // Of an application that is not there, or ended, no further token says more.
    if (answer.noAnswer?.how === 'refused') return [...findings, verdictOf(explainSilence(answer.noAnswer))]
    const kept = answer.status === 400 && !isNotYet(answer)
    const words = `${rule}: ${kept ? 'refused' : `not refused with 400, but answered ${inWords(answer)}`}`
    const remedy = kept ? undefined : remedyOf(answer)
    findings.push({ level: kept ? 'ok' : 'problem', about: name, words, remedy })
  }
  const token = await op.mint.logoutToken(targetOf(order))
  const first = explainSuccess(await deliver(token), op)
  if (first === undefined)
    findings.push({ level: 'ok', about: 'a good token', words: 'BCL 2.8: answered 200, no-store' })
  else findings.push({ ...verdictOf(first), about: 'a good token' })
  const second = await op.deliver(order.uri, token)
  const isRefused = second.status === 400
  findings.push({
    level: isRefused ? 'ok' : second.status === 200 ? 'note' : 'problem',
    about: 'the same again',
    words: `BCL 2.6 step 8: ${isRefused ? 'refused' : `answered ${inWords(second)}`}${second.status === 200 ? ' (right if it did nothing, as with replay: acknowledge)' : ''}`,
  })
  return findings
}

/**
 * Delivers tokens, and resolves to what the receiver makes of each. Two answers are no verdict: "not yet", since it
 * cannot have our keys or its store just now; and none at all, since nothing listens there, as with an application that
 * looks its provider up when it starts, and so must start after us. It is asked again, and that is said; so often in
 * all, whatever is sent after it.
 */
function patientDelivery(op: FakeOp, { uri }: SendOrder, terminal: Terminal) {
  const waits = [
    { isWaitedFor: isNotYet, words: NOT_YET, left: MOST_TIMES },
    { isWaitedFor: isRefusedConnection, words: nobodyYet(op, uri), left: LISTEN_MOST_TIMES },
  ]
  const said = new Set<string>()
  return async (token: string): Promise<DeliveryAnswer> => {
    for (;;) {
      const answer = await op.deliver(uri, token)
      const wait = waits.find(({ isWaitedFor }) => isWaitedFor(answer))
      if (wait === undefined || wait.left === 0) return answer
      wait.left--
      if (!said.has(wait.words)) terminal.err(wait.words)
      said.add(wait.words)
      await sleep(ASK_AGAIN_AFTER_MS)
    }
  }
}

const NOT_YET =
  'the receiver answered "not yet" (logout_failed), as one does that was started before this command and waits before ' +
  'it asks for keys again, or whose store is away: the token is sent again each second\n'

function nobodyYet(op: FakeOp, uri: string): string {
  return (
    `nothing listens at ${shown(uri)} yet: start your application now, with ${settingsOf(op)}; the token is sent ` +
    `again each second until it answers, for ${LISTEN_MOST_TIMES} s\n`
  )
}

function isRefusedConnection({ noAnswer }: DeliveryAnswer): boolean {
  return noAnswer?.how === 'refused'
}

function isNotYet({ body }: DeliveryAnswer): boolean {
  return errorIn(body) === 'logout_failed'
}

function verdictOf({ problem, remedy, page }: { problem: string; remedy: string; page: string }): Finding {
  return { level: 'problem', about: 'verdict', words: problem, remedy: `${remedy} (${page})` }
}

function remedyOf(answer: DeliveryAnswer): string | undefined {
  if (isNotYet(answer))
    return 'It could not judge the token: its event logout-failed or awaiting-keys says what it waits for.'
  if (answer.status === 200)
    return 'The receiver takes a token that breaks this rule: whoever can make one ends sessions.'
  return explainRefusal(answer)?.remedy
}

/** Names exactly what was given. */
function targetOf({ sub, sid }: SendOrder): Change {
  return { payload: { ...(sub === undefined && { sub: undefined }), ...(sid === undefined && { sid: undefined }) } }
}

/** The token in words: it is good at a receiver that trusts this provider, so it is not printed itself. */
function described(token: string): string {
  try {
    return shown(
      `<header ${JSON.stringify(decodeProtectedHeader(token))} claims ${JSON.stringify(decodeJwt(token))}>`,
      700,
    )
  } catch {
    return '<a token that cannot be read>'
  }
}

function inWords({ status, body }: DeliveryAnswer): string {
  if (status === undefined) return 'not at all'
  const error = errorIn(body)
  return `${status}${error === undefined ? '' : ` ${shown(error, 60)}`}`
}

function settingsOf({ issuer, clientId }: FakeOp): string {
  return `{ issuer: '${issuer}', clientId: '${clientId}' }`
}
