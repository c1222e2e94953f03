// What the environment says of the OpenID Provider beyond issuer and client: a preset, and every option by its name in
// capitals.
import { type PresetName, type ProviderOptions, preset } from 'oidc-backchannel-logout'

type Environment = Readonly<Record<string, string | undefined>>
/** It signs in by OpenID Connect alone. */
type Settings = Omit<ProviderOptions, 'issuer' | 'clientId' | 'protocol'>

const texts = (value: string) => value.split(',').map((each) => each.trim())
const flag = (value: string) => value === 'true'

/**
 * How each option is written, but functions, which no text can name: lists with commas, keys as JSON, what is on as
 * `true`. What is wrong, the package says at boot.
 */
const OPTIONS: { readonly [Name in Exclude<keyof Settings, 'fetch'>]-?: (value: string) => Settings[Name] } = {
  algorithms: texts,
  additionalTyp: texts,
  trustedAudiences: texts,
  allowMissingExp: flag,
  backchannelLogoutSessionRequired: flag,
  ignoreSid: flag,
  dangerouslyAllowHttp: flag,
  maxAgeSeconds: Number,
  clockToleranceSeconds: Number,
  requestTimeoutSeconds: Number,
  sessionMaxAgeSeconds: Number,
  sessionIdleSeconds: Number,
  transientFailureStatus: (value) => Number(value) as 400 | 503,
  typ: (value) => value as 'interop' | 'strict',
  replay: (value) => value as 'refuse' | 'acknowledge',
  jwksUri: String,
  clientSecret: String,
  jwks: (value) => JSON.parse(value),
  decryption: (value) => JSON.parse(value),
  endSession: (value) => JSON.parse(value),
  policy: (value) => JSON.parse(value),
  clientAuthentication: (value) => JSON.parse(value),
}

/**
 * `PRESET=ory-hydra`, `ALGORITHMS=ES256,RS256`, `ALLOW_MISSING_EXP=true`, … Throws a `TypeError` for an unknown preset.
 */
export function providerSettings(env: Environment): Settings {
  const named = Object.entries(OPTIONS).flatMap(([option, read]) => {
    const value = env[variableOf(option)]
    return value === undefined || value === '' ? [] : [[option, read(value)]]
  })
  const { PRESET } = env
  return { ...(PRESET ? preset(PRESET as PresetName) : {}), ...Object.fromEntries(named) }
}

/** `allowMissingExp` is `ALLOW_MISSING_EXP`. */
export function variableOf(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}
