// oidc-provider, in the settings that its own tests and the example leave out.
import { createHash, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { exportJWK, generateKeyPair } from 'jose'
import type { ClientMetadata, Configuration, JWK } from 'oidc-provider'
import { expect, it } from 'vitest'
import { OpMemory } from '../../example-app/op-memory.js'
import { createProvider, listen } from '../servers/oidc-provider.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider, User } from './live-provider.js'
import type { LiveRp } from './live-rp.js'
import { answered, describeProvider, describeRegistration, untilSignedOut } from './scenarios.js'

const { version } = createRequire(import.meta.url)('oidc-provider/package.json') as { version: string }

interface Setting {
  readonly circumstance: string
  readonly alg: string
  readonly client?: Partial<ClientMetadata>
  readonly configuration?: Partial<Configuration>
  readonly registered?: LiveProvider['registered']
}

const CLIENT_SECRET = randomBytes(64).toString('base64url')

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
    ...client,
  })
  const clients = [metadata('a', a, true), metadata('b', b, true)]
  if (withoutSid) clients.push(metadata('without-sid', withoutSid, false))
  let nextUser: User = 'alice'
  let serve: (...args: Parameters<ReturnType<Awaited<ReturnType<typeof createProvider>>['callback']>>) => void
  const memory = new OpMemory()
  const isEncrypted = client?.id_token_encrypted_response_alg !== undefined
  const begin = async (keys: readonly JWK[]) => {
    const provider = await createProvider(issuer, {
      ...{ clients, cookies, adapter: memory.adapter },
      jwks: { keys: [...keys] },
      enabledJWA: { idTokenSigningAlgValues: ['RS256', alg] } as Configuration['enabledJWA'] & object,
      ...configuration,
    })
    const protocol = provider.callback()
    serve = (req, res) => {
      if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
      provider.interactionFinished(req, res, { login: { accountId: nextUser } }).catch(() => res.destroy())
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
    signIn: (browser, rp, user) => {
      nextUser = user
      return browser.get(`${rp.origin}/login`)
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
    },
    acts: { 'end_session, refused by the user on the confirmation page': 'nothing' },
    rotatesKeys: !setting.alg.startsWith('HS'),
    start: (rps) => start(rps, setting),
  }
}

describeProvider(oidcProvider({ circumstance: 'session required', alg: 'RS256' }))

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
