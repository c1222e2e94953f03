// oidc-provider, in the settings that its own tests and the example leave out.
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { exportJWK, generateKeyPair } from 'jose'
import type { ClientMetadata, Configuration, JWK, Provider } from 'oidc-provider'
import { expect, it } from 'vitest'
import { OpMemory } from '../../example-app/op-memory.js'
import { createProvider, listen } from '../servers/oidc-provider.js'
import { describeEndToEnd } from './end-to-end.js'
import { answered, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider } from './live-provider.js'
import type { LiveRp } from './live-rp.js'
import { describeOneEndpoint } from './one-endpoint.js'
import { describeReceivedRevocation } from './received-revocation.js'
import { describeProvider, describeRegistration } from './scenarios.js'

const { version } = createRequire(import.meta.url)('oidc-provider/package.json') as { version: string }

interface Setting {
  readonly circumstance: string
  readonly alg: string
  readonly client?: Partial<ClientMetadata>
  readonly configuration?: Partial<Configuration>
  readonly registered?: LiveProvider['registered']
}

const CLIENT_SECRET = randomBytes(64).toString('base64url')

/** Of each that runs, by its issuer. */
const memories = new Map<string, OpMemory>()

/** Asks whoever is to sign in for a name and a password, each of which is as good as any; grants what was asked for. */
async function interact(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { prompt } = await provider.interactionDetails(req, res)
  if (prompt.name === 'consent') return provider.interactionFinished(req, res, { consent: {} })
  if (req.method === 'POST') {
    const accountId = new URLSearchParams(await text(req)).get('username') ?? ''
    return provider.interactionFinished(req, res, { login: { accountId } })
  }
  const fields = '<input name="username"><input type="password" name="password"><button>Sign in</button>'
  res.writeHead(200, { 'content-type': 'text/html' }).end(`<form method="post" action="">${fields}</form>`)
}

async function signingKey(alg: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg.startsWith('HS') ? 'RS256' : alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex'), use: 'sig' } as JWK
}

async function start({ a, b, withoutSid }: LiveRps, { alg, client, configuration }: Setting): Promise<RunningProvider> {
  const { server, issuer, close } = await listen()
  const cookies = { keys: [randomBytes(32).toString('base64url')] }
  const metadata = (client_id: string, rp: LiveRp, sidRequired: boolean): ClientMetadata => ({
    client_id,
    client_secret: CLIENT_SECRET,
    redirect_uris: [`${rp.origin}/callback`],
    post_logout_redirect_uris: [`${rp.origin}/logged-out`],
    backchannel_logout_uri: rp.receiver,
    backchannel_logout_session_required: sidRequired,
    id_token_signed_response_alg: alg as ClientMetadata['id_token_signed_response_alg'],
    grant_types: ['authorization_code', 'refresh_token'],
    ...client,
  })
  const clients = [metadata('a', a, true), metadata('b', b, true)]
  if (withoutSid) clients.push(metadata('without-sid', withoutSid, false))
  let serve: (req: IncomingMessage, res: ServerResponse) => void
  const memory = new OpMemory()
  memories.set(issuer, memory)
  const isEncrypted = client?.id_token_encrypted_response_alg !== undefined
  const begin = async (keys: readonly JWK[]) => {
    const provider = await createProvider(issuer, {
      ...{ clients, cookies, adapter: memory.adapter },
      jwks: { keys: [...keys] },
      scopes: ['openid', 'offline_access'],
      // Also to who did not ask for offline access, as many providers do.
      issueRefreshToken: () => true,
      enabledJWA: { idTokenSigningAlgValues: ['RS256', alg] } as Configuration['enabledJWA'] & object,
      ...configuration,
      features: { revocation: { enabled: true }, ...configuration?.features },
    })
    const protocol = provider.callback()
    serve = (req, res) => {
      if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
      interact(provider, req, res).catch(() => res.destroy())
    }
  }
  const first = await signingKey(alg)
  await begin([first])
  server.on('request', (req, res) => serve(req, res))
  const credentials = (clientId: string) => ({ clientId, clientSecret: CLIENT_SECRET })
  return {
    issuer,
    credentials: {
      a: credentials('a'),
      b: credentials('b'),
      ...(withoutSid && { withoutSid: credentials('without-sid') }),
    },
    browser: () => new LiveBrowser(),
    async signIn(browser, rp, username) {
      const page = await browser.get(`${rp.origin}/login`)
      // Where the browser is known there is none.
      return /name="password"/.test(page.text) ? browser.submit(page, { username, password: 'any' }) : page
    },
    logOut: async (browser, rp) => {
      // It takes no encrypted ID Token as a hint, so the user goes to the provider alone.
      const page = await (isEncrypted ? browser.get(`${issuer}/session/end`) : rp.logOut(browser))
      return browser.submit(page, { logout: 'yes' })
    },
    acts: {
      'end_session, refused by the user on the confirmation page': async ({ browser, rps }) => {
        const page = await rps.a.logOut(browser)
        return browser.submit(page)
      },
    },
    rotateKeys: async () => begin([await signingKey(alg), first]),
    stop: close,
  }
}

function oidcProvider(setting: Setting): LiveProvider {
  return {
    name: 'panva/node-oidc-provider',
    version,
    preset: 'oidc-provider',
    circumstance: setting.circumstance,
    ...(setting.registered && { registered: setting.registered }),
    needs: [],
    shape: {
      typ: 'logout+jwt',
      alg: setting.alg,
      lifetimeSeconds: 120,
      aud: 'string',
      sub: true,
      sidIfNotRequired: false,
    },
    delivering: {
      endsEveryBrowser: false,
      tellsInitiator: true,
      userWaits: true,
      hangsUpAfterSeconds: 2.5,
      triesOn400: 1,
      triesOnFailure: 1,
      codeAfterLogout: 'refused by the provider',
      newKey: 'taken',
    },
    acts: { 'end_session, refused by the user on the confirmation page': 'nothing' },
    start: (rps) => start(rps, setting),
  }
}

describeProvider(oidcProvider({ circumstance: 'session required', alg: 'RS256' }), (live) => {
  describeReceivedRevocation(live)
  describeEndToEnd(live, {
    username: 'frida',
    password: 'any',
    newUser: async () => {},
    sessionsOf: async (username) =>
      memories
        .get(live().issuer)
        ?.sessions()
        .filter(({ sub }) => sub === username) ?? [],
    confirming: {
      inBrowser: (page) => page.getByRole('button', { name: 'Yes, log out' }).click(),
      fields: { logout: 'yes' },
    },
    refusesTarget: 'post_logout_redirect_uri not registered',
  })
})

for (const alg of ['PS256', 'ES256', 'EdDSA']) {
  describeRegistration(oidcProvider({ circumstance: alg, alg, registered: { algorithms: [alg] } }))
}

describeRegistration(
  oidcProvider({
    circumstance: 'HS256',
    alg: 'HS256',
    registered: { algorithms: ['HS256'], clientSecret: CLIENT_SECRET },
  }),
)

for (const [alg, enc] of [
  ['RSA-OAEP', 'A256GCM'],
  ['ECDH-ES', 'A128CBC-HS256'],
] as const) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(privateKey)), kid: 'of the RP', use: 'enc', alg }
  describeRegistration(
    oidcProvider({
      circumstance: `encrypted: ${alg} with ${enc}`,
      alg: 'RS256',
      client: {
        id_token_encrypted_response_alg: alg,
        id_token_encrypted_response_enc: enc,
        jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'of the RP', use: 'enc', alg } as JWK] },
      },
      configuration: { features: { encryption: { enabled: true } } },
      registered: {
        decryption: { keys: [jwk], keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] },
      },
    }),
    (live) => {
      it('is encrypted indeed', async () => {
        const { rps, signedIn, logOut } = live()
        const { browser } = await signedIn('alice')
        await logOut(browser, rps.a, 'alice')
        expect((await answered(rps.b)).encryption).toMatchObject({ alg, enc })
      })
    },
  )
}

describeRegistration(
  oidcProvider({
    circumstance: 'pairwise subject',
    alg: 'RS256',
    client: { subject_type: 'pairwise' },
    configuration: {
      subjectTypes: ['pairwise'],
      pairwiseIdentifier: (_ctx, accountId, client) =>
        createHash('sha256').update(`${client.clientId} ${accountId}`).digest('hex'),
    },
  }),
  (live) => {
    it('names the user to each client by the subject of that client', async () => {
      const { rps, signedIn, logOut } = live()
      const { browser } = await signedIn('alice')
      const subjects = { a: (await rps.a.me(browser))?.sub, b: (await rps.b.me(browser))?.sub }
      await logOut(browser, rps.a, 'alice')
      const { payload } = await answered(rps.b)
      await untilSignedOut(rps.b, browser)
      expect(payload.sub).toBe(subjects.b)
      expect(payload.sub).not.toBe(subjects.a)
    })
  },
)

describeOneEndpoint()
