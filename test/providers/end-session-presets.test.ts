// Each known provider's own words for a logout that begins here: what was learned of it is in
// `end-session-providers.json`, and what the browser is sent with is derived from that, not from the presets.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, type EndSessionPresetName, endSessionPreset } from '../../src/index.js'

interface Known {
  readonly name: EndSessionPresetName
  readonly provider: string
  readonly kind: 'standard' | 'auth0-v2' | 'cognito' | 'none'
  readonly expiredHint: 'unknown' | 'accepted' | 'refused'
  readonly maxUrl: number | null
  readonly logoutHint: 'sid' | 'login_hint' | 'custom' | null
}

const KNOWN: readonly Known[] = JSON.parse(
  readFileSync(new URL('./end-session-providers.json', import.meta.url), 'utf8'),
)
const ISSUER = 'https://op.example.com'
const ENDPOINT = `${ISSUER}/end`
const BACK = 'https://app.example.com/logged-out?from=op'
const SHORT = 'e30.e30.short'
/** A user in many groups. */
const LONG = `e30.${'a'.repeat(6 * 1024)}.long`
const IAT = 1_800_000_000

async function departureOf(
  name: EndSessionPresetName,
  hint: string,
  { late = false, scope = 'provider' as 'provider' | 'upstream' } = {},
) {
  const endSession = { ...endSessionPreset(name), endpoint: ENDPOINT }
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: 'rp', endSession },
    clock: () => (late ? IAT + 3600 : IAT),
  })
  const rpInitiated = logout.rpInitiatedLogout({
    redirectUris: { 'logged-out': BACK },
    secret: 'a secret of more than thirty-two characters',
  })
  const claims = { iss: ISSUER, aud: 'rp', sub: 'ada', sid: 'laptop', login_hint: 'O.abc', iat: IAT, exp: IAT + 300 }
  const record = await rpInitiated.record(claims, hint)
  const { url, form, ...rest } = await rpInitiated.start(record, { to: 'logged-out', scope })
  logout.close()
  const { origin, pathname, searchParams } = new URL(url)
  return { ...rest, url, at: origin + pathname, form, query: Object.fromEntries(searchParams) }
}

const STATE = expect.stringMatching(/^[\w-]{43}$/)

/** What a provider does not have is no test of it, and no skipped one. */
const unless =
  (hasNot: boolean) =>
  (name: string, test: () => Promise<void> | void): void => {
    if (!hasNot) it(name, test)
  }

describe.each(KNOWN)('$provider', ({ name, kind, expiredHint, maxUrl, logoutHint }) => {
  const logoutHintSent = logoutHint === 'sid' ? 'laptop' : logoutHint === 'login_hint' ? 'O.abc' : undefined
  const standard = {
    client_id: 'rp',
    post_logout_redirect_uri: BACK,
    state: STATE,
    ...(logoutHintSent !== undefined && { logout_hint: logoutHintSent }),
  }
  const words = {
    standard: { id_token_hint: SHORT, ...standard },
    'auth0-v2': { client_id: 'rp', returnTo: BACK },
    cognito: { client_id: 'rp', logout_uri: BACK },
    none: undefined,
  }[kind]

  it(words === undefined ? 'is not asked, and the result says so' : 'is asked in its own words', async () => {
    const { provider, url, at, query, form } = await departureOf(name, SHORT)
    expect(form).toBeUndefined()
    if (words === undefined) expect({ provider, url }).toEqual({ provider: 'unsupported', url: BACK })
    else expect({ provider, at, query }).toEqual({ provider: 'asked', at: ENDPOINT, query: words })
  })

  unless(kind === 'none')('never gets a URL over 2,000 characters, and the 6 KB of a hint only by a form', async () => {
    const { at, url, query, form } = await departureOf(name, LONG)
    expect(at).toBe(ENDPOINT)
    expect(url.length).toBeLessThanOrEqual(2000)
    if (kind !== 'standard') expect({ query, form }).toEqual({ query: words, form: undefined })
    else if (maxUrl !== null) expect({ query, form }).toEqual({ query: standard, form: undefined })
    else expect({ query, form }).toEqual({ query: {}, form: { id_token_hint: LONG, ...standard } })
  })

  unless(kind !== 'standard')(`an expired hint is ${expiredHint === 'refused' ? 'left out' : 'sent'}`, async () => {
    const { query } = await departureOf(name, SHORT, { late: true })
    expect(query).toEqual(expiredHint === 'refused' ? standard : words)
  })
})

it('Auth0 alone can be asked to go on to the identity provider behind it', async () => {
  const asked: string[] = []
  for (const { name } of KNOWN) {
    const { upstream, query } = await departureOf(name, SHORT, { scope: 'upstream' })
    expect('federated' in query).toBe(upstream === 'asked')
    if (upstream === 'asked') asked.push(name)
  }
  expect(asked).toEqual(['auth0', 'auth0-v2'])
})

it('a preset is frozen; an unknown name is refused at boot; the endpoint gets no ID Token in plain text', () => {
  expect(KNOWN.every(({ name }) => Object.isFrozen(endSessionPreset(name)))).toBe(true)
  for (const name of ['Google', '', '__proto__', 'toString']) {
    expect(() => endSessionPreset(name as EndSessionPresetName)).toThrow(/there is none of that name.*keycloak/)
  }
  const configured = (endpoint: string) => () =>
    createBackchannelLogout({ provider: { issuer: ISSUER, clientId: 'rp', endSession: { endpoint } } }).close()
  for (const endpoint of [
    'http://op.example.com/end',
    'https://me@op.example.com/end',
    '/end',
    'javascript:alert(1)',
  ]) {
    expect(configured(endpoint)).toThrow(/endSession\.endpoint/)
  }
  expect(configured('http://127.0.0.1:3000/end')).not.toThrow()
})
