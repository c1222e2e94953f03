// What a refusal of an unknown issuer or client says to do: to the OP's tokens and to logins alike, and nothing of a
// token in it.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutError, type LogoutEvent, type ProviderSource } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const client = (issuer: string, clientId = 'my-rp') => ({ issuer, clientId })

/** The errors with which a Logout Token and a login are refused whose `iss` and `aud` are these. */
async function refusals(provider: ProviderSource, claims: { readonly iss: string; readonly aud?: string }) {
  const mint = await createTokenMint({ issuer: claims.iss, clientId: claims.aud ?? 'my-rp' })
  const errors: LogoutError[] = []
  const onEvent = (event: LogoutEvent) => {
    if (event.type === 'refused') errors.push(event.error)
  }
  const logout = createBackchannelLogout({ provider, onEvent })
  const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
  const answer = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
  expect(answer.status).toBe(400)
  const said = await answer.text()
  await logout.signOn(mint.idTokenClaims()).catch((error: LogoutError) => errors.push(error))
  logout.close()
  expect(errors.map(({ code }) => code)).toEqual(['ERR_TOKEN', 'ERR_ID_TOKEN'])
  for (const { remedy } of errors) {
    expect(remedy).toBeDefined()
    expect(said).not.toContain(remedy)
  }
  return errors.map(({ reason, remedy }) => ({ reason, remedy }))
}

const twice = <T>(value: T) => [value, value]

describe('an issuer that is nearly a configured one', () => {
  it.each([
    ['https://op.example.com/a', 'https://op.example.com/a/', 'a slash at the end'],
    ['https://op.example.com/a/', 'https://op.example.com/a', 'a slash at the end'],
    ['https://op.example.com/a', 'https://op.example.com/A', 'letter case'],
    ['https://op.example.com', 'http://op.example.com', 'http or https'],
    ['http://localhost:8080/a', 'http://127.0.0.1:8080/a', 'localhost or 127.0.0.1'],
    [
      'http://127.0.0.1/a',
      'https://localhost/A/',
      'a slash at the end and letter case and http or https and localhost or 127.0.0.1',
    ],
  ])('%s is configured and %s came: it differs by %s', async (issuer, iss, differences) => {
    const far = client('https://far.example.com')
    const found = await refusals([far, client(issuer)], { iss })
    const remedy =
      `The configured issuer ${issuer} differs by ${differences}: ` +
      'give the provider option issuer as the metadata of the provider have it, letter by letter'
    expect(found).toEqual(twice({ reason: 'iss_unknown', remedy }))
    for (const each of found) expect(each.remedy?.split(issuer).join('')).not.toContain(iss)
  })
})

describe('an issuer that is like none', () => {
  it.each([
    ['of one', client('https://op.example.com'), /^The configured issuer https:\/\/op\.example\.com is another one: /],
    [
      'of two',
      [client('https://a.example.com'), client('https://b.example.com')],
      /^None of the 2 configured issuers /,
    ],
    ['a function knows', () => undefined, /^The function given as option provider knows no such issuer: /],
  ] as const)('%s', async (_, provider, remedy) => {
    for (const iss of ['https://stranger.example', `https://stranger.example/${'/'.repeat(3000)}`]) {
      const found = await refusals(provider, { iss })
      expect(found).toEqual(twice({ reason: 'iss_unknown', remedy: expect.stringMatching(remedy) }))
      expect(JSON.stringify(found)).not.toContain('stranger')
    }
  })
})

describe('a client that is not configured for its issuer', () => {
  const issuer = 'https://op.example.com'

  it.each([
    ['one client', client(issuer), 'my-rp'],
    ['two clients', [client(issuer), client(issuer, 'second')], 'my-rp, second'],
    ['many clients', ['a', 'b', 'c', 'd'].map((id) => client(issuer, id)), 'a, b, c, …'],
  ] as const)('%s: compare clientId', async (_, provider, named) => {
    const found = await refusals(provider, { iss: issuer, aud: 'stranger' })
    const remedy = `Compare the provider option clientId (${named}) with the client_id that is registered at the provider`
    expect(found).toEqual([
      { reason: 'aud_mismatch', remedy },
      { reason: 'aud_unknown', remedy },
    ])
  })
})
