// Looks at an OpenID Provider as the receiver will: metadata, keys, clock and speed. Asks for what is public, and
// believes nothing.
import { safeUrl, safeUrlOf } from '../http/safe-url.js'
import type { JsonObject } from '../json-object.js'
import { couldSign, isJwk } from '../providers/jwk.js'
import { type ProviderPreset, preset } from '../providers/presets.js'
import { fetchJson } from './doctor-fetch.js'
import { guessedPreset, OPTION_REASONS, REGISTRATION_NOTES, silentProvider } from './known-provider.js'
import { presetNamed } from './names.js'
import { type Finding, shown } from './report.js'

export interface ProviderQuestions {
  readonly issuer: string
  readonly presetName: string | undefined
  readonly uri: string | undefined
}

/** What the receiver allows by default. */
const CLOCK_TOLERANCE_SECONDS = 60
const FETCH_BUDGET_SECONDS = 1.5

export async function examineProvider(questions: ProviderQuestions): Promise<readonly Finding[]> {
  const { issuer } = questions
  const silent = silentProvider(issuer)
  if (silent !== undefined) {
    return [problem('provider', `${silent.name} sends no Logout Tokens`, silent.instead)]
  }
  const insecure = insecureIssuer(issuer)
  if (insecure !== undefined) return [insecure]
  const name = presetNameOf(questions)
  const options: ProviderPreset = name === undefined ? {} : preset(name)
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const metadata = await fetchJson(url)
  if (metadata.document === undefined) {
    const remedy =
      'The receiver fetches the same address: check it with curl from the machine of the application. Is the issuer right, without /.well-known/…?'
    return [problem('metadata', `${shown(url)}: ${metadata.failure}`, remedy)]
  }
  return [
    ...issuerFindings(issuer, metadata.document),
    ...supportFindings(metadata.document, name),
    ...(await keyFindings(metadata.document, options, { issuer, name })),
    ...clockFindings(metadata.secondsAhead),
    ...speedFindings(metadata.seconds),
    ...advice(questions, options, name),
  ]
}

function presetNameOf({ presetName, issuer }: ProviderQuestions) {
  if (presetName === undefined) return guessedPreset(issuer)
  return presetNamed('--preset', presetName)
}

function insecureIssuer(issuer: string): Finding | undefined {
  const refusal = refusalOf(() => safeUrl(issuer, false))
  if (refusal === undefined) return undefined
  if (!isPlainHttp(issuer)) {
    return problem('issuer', `the issuer cannot be used: ${refusal}`, 'Write it as it will stand in its tokens.')
  }
  return problem(
    'issuer',
    'the issuer is plain http: whoever is on the network path can replace its keys and forge logouts',
    'Use the https address; the receiver refuses this one unless dangerouslyAllowHttp is set.',
  )
}

function isPlainHttp(url: string): boolean {
  const { protocol, username, password } = new URL(url)
  return protocol === 'http:' && username === '' && password === ''
}

/** In the words of the receiver. They hold nothing of the URL, which may hold a password. */
function refusalOf(check: () => string): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'it is not usable'
  }
}

/** OpenID Connect Discovery 4.3: exactly the same, character by character. */
function issuerFindings(issuer: string, { issuer: said }: JsonObject): readonly Finding[] {
  if (said === issuer) return [ok('issuer', `the metadata are of ${shown(issuer)}, character by character`)]
  if (typeof said !== 'string') return [problem('issuer', 'the metadata name no issuer', 'Is this an OpenID Provider?')]
  return [
    problem(
      'issuer',
      `the provider calls itself ${shown(said)}, you write ${shown(issuer)}: ${differenceOf(issuer, said)}`,
      `Write issuer: ${JSON.stringify(shown(said))}, as it will stand in its tokens.`,
    ),
  ]
}

function differenceOf(yours: string, theirs: string): string {
  if (`${yours}/` === theirs) return 'a slash at the end is missing'
  if (yours === `${theirs}/`) return 'a slash at the end is too many'
  if (yours.toLowerCase() === theirs.toLowerCase()) return 'upper and lower case differ'
  const [a, b] = [new URL(yours), URL.canParse(theirs) ? new URL(theirs) : undefined]
  if (b === undefined) return 'it is no URL'
  if (a.host !== b.host) return `the host is ${shown(b.host)}`
  if (a.protocol !== b.protocol) return `the scheme is ${shown(b.protocol)}`
  return `the path is ${shown(b.pathname)}`
}

function supportFindings(metadata: JsonObject, name: string | undefined): readonly Finding[] {
  if (metadata.backchannel_logout_supported !== true) {
    const words = 'the metadata do not announce backchannel_logout_supported'
    if (name !== undefined)
      return [note('support', `${words}; ${name} sends Logout Tokens all the same where it is set up to`)]
    return [
      problem(
        'support',
        words,
        'Many providers switch it on per realm or client; else none will come, and sessions need a short maximum age.',
      ),
    ]
  }
  if (metadata.backchannel_logout_session_supported !== true) {
    return [
      ok('support', 'back-channel logout is announced'),
      warning(
        'sessions',
        'backchannel_logout_session_supported is not announced: Logout Tokens may name the user alone',
        'Each logout then ends all sessions of the user here; do not set backchannelLogoutSessionRequired.',
      ),
    ]
  }
  return [ok('support', 'back-channel logout is announced, with session ids')]
}

async function keyFindings(
  metadata: JsonObject,
  options: ProviderPreset,
  { issuer, name }: { readonly issuer: string; readonly name: string | undefined },
): Promise<readonly Finding[]> {
  const algorithms = options.algorithms ?? ['RS256']
  const announced = listOf(metadata.id_token_signing_alg_values_supported)
  const findings: Finding[] = []
  if (announced.length > 0 && !announced.some((each) => algorithms.includes(each))) {
    findings.push(
      problem(
        'algorithms',
        `it signs by ${shown(announced.join(', '))}; the receiver takes ${algorithms.join(', ')}`,
        `Set algorithms: [${JSON.stringify(shown(announced[0] ?? '', 40))}], or what your client registered as id_token_signed_response_alg.`,
      ),
    )
  } else if (announced.length > 0) {
    findings.push(
      ok('algorithms', `${algorithms.join(', ')} is among what it signs by${name === undefined ? '' : ` (${name})`}`),
    )
  }
  const { jwks_uri: uri } = metadata
  if (typeof uri !== 'string' || !URL.canParse(uri)) {
    return [...findings, problem('keys', 'the metadata have no jwks_uri', 'Give jwks or jwksUri yourself.')]
  }
  const refusal = refusalOf(() => safeUrlOf(issuer, uri, false))
  if (refusal !== undefined && !isPlainHttp(uri)) {
    return [...findings, problem('keys', `the jwks_uri cannot be used: ${refusal}`, 'Give jwks or jwksUri yourself.')]
  }
  if (refusal !== undefined) {
    return [
      ...findings,
      problem(
        'keys',
        `${shown(uri)} is not https: whoever is on the network path can replace its keys and forge logouts`,
        'The receiver fetches no keys from there unless dangerouslyAllowHttp is set; let the provider publish an https jwks_uri, or give jwksUri yourself.',
      ),
    ]
  }
  const { document, failure, seconds } = await fetchJson(uri)
  const keys = document?.keys
  if (!Array.isArray(keys)) {
    const why = failure ?? 'it is not a JSON Web Key Set'
    return [
      ...findings,
      problem(
        'keys',
        `${shown(uri)}: ${why}`,
        'Without keys every Logout Token is answered 400; check the address from the machine of the application.',
      ),
    ]
  }
  const wanted = algorithms.filter((each) => !each.startsWith('HS'))
  const usable = keys.filter(isJwk).filter((key) => wanted.some((algorithm) => couldSign(key, algorithm)))
  if (wanted.length > 0 && usable.length === 0) {
    return [
      ...findings,
      problem(
        'keys',
        `none of its ${keys.length} keys fits ${wanted.join(', ')}`,
        'Set algorithms to what it signs by.',
      ),
    ]
  }
  const unnamed = usable.filter(({ kid }) => kid === undefined).length
  if (unnamed > 1) {
    findings.push(
      warning(
        'keys',
        `${unnamed} usable keys have no key id (kid): a token that names none is refused as ambiguous`,
        'Ask the provider for key ids.',
      ),
    )
  }
  return [
    ...findings,
    ok('keys', `${usable.length} of ${keys.length} keys can be used`),
    ...speedFindings(seconds, 'keys'),
  ]
}

function clockFindings(secondsAhead: number | undefined): readonly Finding[] {
  if (secondsAhead === undefined)
    return [note('clock', 'the answer has no Date header, so the clocks could not be compared')]
  const apart = Math.round(secondsAhead)
  const words = `its clock is ${Math.abs(apart)} s ${apart < 0 ? 'behind' : 'ahead of'} this one`
  if (Math.abs(apart) <= 2) return [ok('clock', 'its clock and this one agree within 2 s')]
  if (Math.abs(apart) <= CLOCK_TOLERANCE_SECONDS / 2) {
    return [
      warning(
        'clock',
        `${words}, of the ${CLOCK_TOLERANCE_SECONDS} s that are tolerated`,
        'Let both keep time by NTP.',
      ),
    ]
  }
  return [
    problem(
      'clock',
      `${words}: Logout Tokens are refused as expired or issued in the future, and logins and logouts are put in the wrong order`,
      'Let both keep time by NTP; clockToleranceSeconds is for small differences.',
    ),
  ]
}

function speedFindings(seconds: number, about = 'metadata'): readonly Finding[] {
  const words = `${about === 'keys' ? 'the keys' : 'the metadata'} took ${seconds.toFixed(2)} s`
  if (seconds < FETCH_BUDGET_SECONDS / 2) return about === 'keys' ? [] : [ok('latency', words)]
  const remedy =
    'Call logout.prepare() when the application starts, so that keys are there before the first Logout Token.'
  if (seconds < FETCH_BUDGET_SECONDS) return [warning('latency', words, remedy)]
  return [
    problem(
      'latency',
      `${words}; the receiver waits ${FETCH_BUDGET_SECONDS} s while the provider waits for it`,
      `${remedy} Raise requestTimeoutSeconds, or give jwksUri.`,
    ),
  ]
}

function advice(
  { uri }: ProviderQuestions,
  options: ProviderPreset,
  name: ReturnType<typeof presetNameOf>,
): readonly Finding[] {
  const registration = `register backchannel_logout_uri ${shown(uri ?? '(where your receiver is mounted)')} and backchannel_logout_session_required true`
  const findings = [note('register', registration)]
  const noted = name && REGISTRATION_NOTES[name]
  if (noted !== undefined) findings.push(note('register', noted))
  if (name === undefined) return findings
  const reasons = Object.keys(options).map((option) => `${option}: ${OPTION_REASONS[option] ?? 'see its page'}`)
  findings.push(
    note(
      'options',
      reasons.length === 0
        ? `...preset('${name}') sets nothing: the defaults fit`
        : `write ...preset('${name}'), for ${reasons.join('; ')}`,
    ),
  )
  return findings
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []
}

const ok = (about: string, words: string): Finding => ({ level: 'ok', about, words })
const note = (about: string, words: string): Finding => ({ level: 'note', about, words })
const warning = (about: string, words: string, remedy: string): Finding => ({ level: 'warning', about, words, remedy })
const problem = (about: string, words: string, remedy: string): Finding => ({ level: 'problem', about, words, remedy })
