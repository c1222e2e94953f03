// Which known provider an issuer is, read off its address, and what to tell who uses it. Guesses only where the address
// is plain.
import { PRESET_NAMES, type PresetName } from '../providers/presets.js'

/** Providers that send no Logout Token at all, and what there is in its place. */
const SILENT: readonly { readonly is: RegExp; readonly name: string; readonly instead: string }[] = [
  {
    is: /^https:\/\/(login\.microsoftonline\.(com|us)|sts\.windows\.net|[\w-]+\.ciamlogin\.com)\//,
    name: 'Microsoft Entra ID',
    instead: 'It has front-channel logout only (by sid, without iss); keep a short maximum age of sessions beside it.',
  },
  {
    is: /^https:\/\/[\w-]+(-admin)?\.(okta|oktapreview|okta-emea)\.com(\/|$)/,
    name: 'Okta',
    instead:
      'It has Universal Logout (Global Token Revocation), which is another endpoint; keep a short maximum age of sessions.',
  },
  {
    is: /^https:\/\/accounts\.google\.com$/,
    name: 'Google',
    instead:
      'It tells nobody of a logout; Cross-Account Protection (RISC) tells of some. Keep a short maximum age of sessions.',
  },
  {
    is: /^https:\/\/cognito-idp\.[\w-]+\.amazonaws\.com\//,
    name: 'Amazon Cognito',
    instead: 'Keep a short maximum age of sessions, and introspect or refresh.',
  },
]

const KNOWN: readonly { readonly is: RegExp; readonly preset: PresetName }[] = [
  { is: /\/realms\/[^/]+$/, preset: 'keycloak' },
  { is: /^https:\/\/[\w.-]+\.auth0\.com\/$/, preset: 'auth0' },
  { is: /\/application\/o\/[^/]+\/$/, preset: 'authentik' },
  { is: /^https:\/\/[\w.-]+\.zitadel\.cloud$/, preset: 'zitadel' },
  { is: /^https:\/\/[\w.-]+\.logto\.app\/oidc$/, preset: 'logto' },
  { is: /^https:\/\/oidc(\.\w+)?\.account\.gov\.uk\/$/, preset: 'govuk-one-login' },
  { is: /\/am\/oauth2\/realms\/root\/realms\//, preset: 'pingone-aic' },
  { is: /\/auth\/v1\/?$/, preset: 'rauthy' },
  { is: /\/cas\/oidc$/, preset: 'cas' },
  { is: /^https:\/\/api\.asgardeo\.io\//, preset: 'wso2' },
  { is: /\/oidc\/endpoint\/\w+$/, preset: 'open-liberty' },
]

/** Why no Logout Token will ever come from there; `undefined` where one may. */
export function silentProvider(issuer: string): { readonly name: string; readonly instead: string } | undefined {
  return SILENT.find(({ is }) => is.test(issuer))
}

/** The preset that fits the address. */
export function guessedPreset(issuer: string): PresetName | undefined {
  return KNOWN.find(({ is }) => is.test(issuer))?.preset
}

export function isPresetName(name: string): name is PresetName {
  return PRESET_NAMES.includes(name)
}

/** What each of its options is for, in the words of who needs it. */
export const OPTION_REASONS: Readonly<Record<string, string>> = {
  allowMissingExp: 'its Logout Tokens carry no exp',
  transientFailureStatus: 'it tries again after 503, and takes 400 for final',
  algorithms: 'it does not sign by RS256',
  additionalTyp: 'the header of its Logout Tokens calls them something else',
  ignoreSid: 'the sid of its Logout Tokens is in no ID Token: each logout ends all sessions of the user',
  decryption: 'it encrypts its Logout Tokens',
  maxAgeSeconds: 'its Logout Tokens may arrive late',
}

/** What its operators most often leave undone. */
export const REGISTRATION_NOTES: Readonly<Partial<Record<PresetName, string>>> = {
  keycloak:
    'Keycloak: Client > Settings > Logout settings: Backchannel logout URL, "Backchannel logout session required" on, Front channel logout off (with it on, no Logout Token is sent).',
  'ory-hydra':
    'Ory Hydra: backchannel_logout_uri of the OAuth 2.0 client; DELETE …/sessions/login?subject= sends nothing.',
  auth0:
    'Auth0: Application > Settings > Back-Channel Logout, and enable each initiator; the address must be public https.',
  authentik:
    'authentik: Provider > Logout method back-channel, and a signing key: without one it signs by the client secret (HS256).',
  zitadel: 'Zitadel: Application > Back-Channel Logout URI.',
  'lemonldap-ng':
    'LemonLDAP::NG: Relying Party > Logout > type back channel; several workers, or it cannot serve its keys while it waits.',
  'better-auth': 'better-auth: enable_end_session for the client.',
}
