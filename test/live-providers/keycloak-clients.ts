// RPs and APIs of their own for tests of Keycloak alone. Knows no scenario.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { type Claims, createClaims, createJwtCheck } from 'oidc-backchannel-logout/claims'
import { type ClientToRegister, type Keycloak, NAME, VERSION } from './keycloak.js'
import { type Credentials, LiveRp } from './live-rp.js'
import { LoginRecording } from './login-recording.js'
import { endpointOf, introspectAt, TokenAnswers } from './token-answers.js'

type Registration = Pick<ClientToRegister, 'attributes' | 'more' | 'sidRequired'>

/** An RP of its own for one test, with what it got at each sign-in. */
export async function withRp(
  { issuer, register }: Keycloak,
  registration: Registration,
  options: Parameters<LiveRp['open']>[2],
  test: (rp: LiveRp, credentials: Credentials, answers: TokenAnswers) => Promise<void>,
): Promise<void> {
  const rp = await LiveRp.listen()
  const answers = new TokenAnswers(`${issuer}/protocol/openid-connect/token`)
  try {
    const client = { clientId: `rp ${rp.origin}`, origin: rp.origin, receiver: rp.receiver }
    const credentials = await register({ ...client, ...registration })
    await rp.open(issuer, credentials, options)
    await test(rp, credentials, answers)
  } finally {
    answers.stop()
    await rp.close()
  }
}

/** What an API says of an access token: by introspection, by verifying it alone, and what Keycloak says of it. */
export interface Verdicts {
  readonly introspected: boolean
  readonly local: boolean
  readonly keycloak: boolean
}

export const SERVED: Verdicts = { introspected: true, local: true, keycloak: true }
/** Keycloak takes it to be as good as ever. */
export const REFUSED: Verdicts = { introspected: false, local: false, keycloak: true }

interface Api {
  readonly rp: LiveRp
  readonly credentials: Credentials
  readonly claims: Claims<undefined>
  readonly verdicts: (token: string) => Promise<Verdicts>
  readonly answers: TokenAnswers
  readonly events: readonly unknown[]
  readonly recording: LoginRecording
  /** Writes down what `recording` heard. */
  readonly write: (circumstance: string) => void
}

/**
 * An RP, and an API that takes its access tokens and shares its logout store. `audience`: the tokens name the API.
 */
export async function withApi(
  keycloak: Keycloak,
  { audience, more = {}, ...registration }: Registration & { readonly audience: boolean },
  test: (api: Api) => Promise<void>,
): Promise<void> {
  const { issuer } = keycloak
  const own = { clientId: `api ${Math.random()}`, origin: 'http://127.0.0.1:9', receiver: '' }
  const { clientId, clientSecret } = await keycloak.register(own)
  const mapper = {
    name: 'the API',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': clientId, 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
  }
  const withMapper = { ...more, ...(audience && { protocolMappers: [mapper] }) }
  const introspection = {
    issuer,
    clientId,
    clientAuthentication: { method: 'client_secret_basic' as const, clientSecret },
  }
  const keys = createRemoteJWKSet(new URL(`${issuer}/protocol/openid-connect/certs`))
  // What becomes of refresh tokens is what Keycloak says, and nothing that the RP does.
  const policy = { logoutToken: { refreshTokens: 'kept' } } as const
  await withRp(keycloak, { ...registration, more: withMapper }, { policy }, async (rp, credentials, answers) => {
    const events: unknown[] = []
    const onEvent = (event: unknown) => events.push(event)
    const claims = createClaims({ introspection, store: rp.logouts, onEvent })
    const withoutLogouts = createClaims({ introspection })
    const { isRevoked } = createJwtCheck({ store: rp.logouts })
    const verdicts = async (token: string) => {
      const { payload } = await jwtVerify(token, keys, { issuer, audience: clientId })
      return {
        introspected: (await claims.lookup(token)).active,
        local: !(await isRevoked(payload, token)),
        keycloak: (await withoutLogouts.lookup(token, { maxAgeSeconds: 0 })).active,
      }
    }
    const endpoint = await endpointOf(issuer, 'introspection_endpoint')
    const said = async (token: string) => ({
      introspected: await introspectAt(endpoint, { clientId, clientSecret }, token),
      local: (await jwtVerify(token, keys, { issuer, audience: clientId })).payload,
    })
    const recording = new LoginRecording({ rp, answers, said })
    const write = (circumstance: string) => {
      const about = { provider: NAME, version: VERSION, circumstance, issuer, clientId: credentials.clientId }
      const names = { [credentials.clientId]: 'rp', [clientId]: 'api', [rp.origin]: 'https://rp.example.com' }
      const origins = { [new URL(issuer).origin]: 'https://op.example.com' }
      recording.write(about, new Map(Object.entries({ ...names, ...origins })))
    }
    await test({ rp, credentials, claims, verdicts, answers, events, recording, write })
  })
}
