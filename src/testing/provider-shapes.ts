// What known OpenID Providers look like from outside: the path of their issuer, what their metadata announce, what
// their Logout Tokens carry. Data only, read in their sources or captured from running ones; the presets are what a
// receiver needs for them.
import type { PresetName } from '../providers/presets.js'
import type { Defect } from './defects.js'
import type { MintAlgorithm } from './mint-keys.js'
import type { Change } from './token-change.js'
import type { TokenMint } from './token-mint.js'

/** What the tokens and requests of one known provider look like. */
export interface ProviderShape {
  /** Path of the issuer after the origin. Default: none. */
  readonly issuerPath?: string
  /** Default: RS256. */
  readonly algorithm?: MintAlgorithm
  /** False: the metadata say nothing of back-channel logout although Logout Tokens are sent. */
  readonly announced?: boolean
  /** False: the `sid` of its Logout Tokens is in no ID Token. */
  readonly sidInIdToken?: boolean
  /** What its Logout Tokens have, or lack (`undefined`), beside those of the specification. */
  readonly logoutToken?: (about: { readonly clientId: string; readonly now: number }) => Change
  /** Defects that its preset takes, because it has them itself. */
  readonly tolerated?: readonly Defect[]
}

const untyped = { header: { typ: 'JWT' } } as const

/** By the name of the preset. A preset that is not here has nothing peculiar. */
export const PROVIDER_SHAPES: Readonly<Partial<Record<PresetName, ProviderShape>>> = {
  keycloak: { issuerPath: '/realms/demo', logoutToken: () => ({ payload: { typ: 'Logout' } }) },
  'ory-hydra': {
    issuerPath: '/',
    logoutToken: ({ clientId }) => ({ ...untyped, payload: { aud: [clientId], sub: undefined, exp: undefined } }),
    tolerated: ['exp-absent'],
  },
  duende: { logoutToken: ({ now }) => ({ payload: { nbf: now, exp: now + 300, logout_reason: 'user_logout' } }) },
  identityserver4: {
    logoutToken: ({ now }) => ({ header: { typ: 'at+jwt' }, payload: { nbf: now, exp: now + 300 } }),
    tolerated: ['typ-access-token'],
  },
  logto: { issuerPath: '/oidc', algorithm: 'ES384' },
  auth0: { issuerPath: '/', logoutToken: () => ({ ...untyped, payload: { trace_id: '64af8c2e1b9d7f03' } }) },
  'pingone-aic': {
    issuerPath: '/am/oauth2/realms/root/realms/alpha',
    logoutToken: () => ({ ...untyped, payload: { cause: 'CLIENT_LOGOUT', auditTrackingId: 'f0e1d2c3-1' } }),
  },
  cas: { issuerPath: '/cas/oidc', logoutToken: ({ now }) => ({ ...untyped, payload: { exp: now + 60 } }) },
  zitadel: {
    logoutToken: ({ clientId, now }) => ({ ...untyped, payload: { aud: [clientId], iat: now - 1, exp: now + 900 } }),
  },
  authentik: { issuerPath: '/application/o/my-app/' },
  'govuk-one-login': { issuerPath: '/', algorithm: 'ES256', logoutToken: () => ({ payload: { sid: undefined } }) },
  casdoor: {
    sidInIdToken: false,
    logoutToken: ({ clientId }) => ({ ...untyped, payload: { aud: [clientId], exp: undefined } }),
    tolerated: ['exp-absent'],
  },
  rauthy: {
    issuerPath: '/auth/v1',
    algorithm: 'EdDSA',
    logoutToken: ({ clientId, now }) => ({
      ...untyped,
      payload: { sub: null, nbf: now, exp: now + 30, azp: clientId, typ: 'logout+jwt' },
    }),
  },
  wso2: { issuerPath: '/oauth2/token', logoutToken: () => ({ header: { typ: undefined } }) },
  janssen: { logoutToken: ({ now }) => ({ ...untyped, payload: { nbf: now, exp: now + 3600 } }) },
  simplesamlphp: { logoutToken: () => ({ payload: { exp: undefined } }), tolerated: ['exp-absent'] },
  'lemonldap-ng': {
    issuerPath: '/',
    logoutToken: ({ clientId }) => ({ ...untyped, payload: { aud: [clientId], exp: undefined } }),
    tolerated: ['exp-absent'],
  },
  'open-liberty': { issuerPath: '/oidc/endpoint/OP' },
  'better-auth': { issuerPath: '/api/auth', algorithm: 'EdDSA' },
  glewlwyd: {
    issuerPath: '/api/oidc',
    announced: false,
    logoutToken: () => ({ ...untyped, payload: { exp: undefined } }),
    tolerated: ['exp-absent'],
  },
}

/** A mint whose Logout Tokens have this shape. Its `defective` tokens do not: each is to have one defect. */
export function shaped(mint: TokenMint, shape: ProviderShape, now: () => number): TokenMint {
  const { logoutToken } = shape
  if (logoutToken === undefined) return mint
  return {
    ...mint,
    logoutToken: (change = {}) => {
      const peculiar = logoutToken({ clientId: mint.clientId, now: Math.floor(now()) })
      const header = { ...peculiar.header, ...change.header }
      const payload = { ...peculiar.payload, ...change.payload }
      return mint.logoutToken({ ...change, header, payload })
    },
  }
}
