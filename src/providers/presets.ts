// What each known OpenID Provider needs beyond the letter of the specification. Data only; applied by spreading.
import type { ProviderOptions } from './provider-options.js'

/** Options that a kind of provider needs, without its issuer and client id. */
export type ProviderPreset = Readonly<Omit<ProviderOptions, 'issuer' | 'clientId'>>

/** As it takes 400 for final and sends again on 5xx, a passing failure is answered 503. */
const RETRIES_ON_503 = { transientFailureStatus: 503 } as const

const PRESETS = {
  keycloak: {},
  /** Never sends `exp` nor `sub`. */
  'ory-hydra': { allowMissingExp: true, ...RETRIES_ON_503 },
  /** Release 6.3.7 and later; before, use `identityserver4`. */
  duende: {},
  /** Also Duende IdentityServer up to 6.2: the header says `at+jwt`. */
  identityserver4: { additionalTyp: ['at+jwt'] },
  'oidc-provider': {},
  logto: { algorithms: ['ES384'] },
  auth0: {},
  /** PingOne Advanced Identity Cloud, PingAM 8. */
  'pingone-aic': {},
  /** 7.2 and later. */
  cas: {},
  zitadel: { ...RETRIES_ON_503 },
  /**
   * 2026.2 and later. Without a signing key it signs by the client secret: add `algorithms: ['HS256']` and
   * `clientSecret`.
   */
  authentik: { ...RETRIES_ON_503 },
  /** Signs by ES256 whatever is registered; never sends `sid`. */
  'govuk-one-login': { algorithms: ['ES256'], ...RETRIES_ON_503 },
  /** No `exp`, and a `sid` that is in no ID Token. */
  casdoor: { allowMissingExp: true, ignoreSid: true },
  rauthy: { algorithms: ['EdDSA'], ...RETRIES_ON_503 },
  /** WSO2 Identity Server, Asgardeo. */
  wso2: {},
  /** Also Gluu. */
  janssen: {},
  simplesamlphp: { allowMissingExp: true },
  'lemonldap-ng': { allowMissingExp: true },
  /** After January 2024. */
  'open-liberty': {},
  'better-auth': { algorithms: ['EdDSA'] },
  connect2id: {},
  /** 2.7. */
  glewlwyd: { allowMissingExp: true },
  /** Documented, not tried: one attempt, 2 s to connect and 5 s to read, no retry. */
  'id-porten': {},
  /**
   * OIDC OP 4.1 and later. Documented, not tried: register only the back-channel URI, and no encryption key, or set
   * `decryption`.
   */
  shibboleth: {},
  /** IBM Verify, Verify Identity Access. Documented, not tried. */
  'ibm-verify': {},
  /** Documented, not tried. */
  'airlock-iam': {},
  /** Documented, not tried. */
  pingfederate: {},
} as const satisfies Record<string, ProviderPreset>

/** The name of a known provider. */
export type PresetName = keyof typeof PRESETS

/** Every name that `preset` knows. */
export const PRESET_NAMES: readonly string[] = Object.freeze(Object.keys(PRESETS))

const presets: ReadonlyMap<string, ProviderPreset> = new Map(Object.entries(PRESETS).map(([k, v]) => [k, frozen(v)]))

/**
 * The options that a known provider needs: `{ ...preset('ory-hydra'), issuer, clientId }`. Frozen. What your own
 * registration decides (another algorithm, encryption, a required `sid`) comes after it. Throws a `TypeError` for
 * unknown names.
 */
export function preset(name: PresetName): ProviderPreset {
  const found = presets.get(name)
  if (found !== undefined) return found
  throw new TypeError(`preset: there is none of that name; it has ${PRESET_NAMES.join(', ')}`)
}

function frozen(options: ProviderPreset): ProviderPreset {
  for (const value of Object.values(options)) if (Array.isArray(value)) Object.freeze(value)
  return Object.freeze(options)
}
