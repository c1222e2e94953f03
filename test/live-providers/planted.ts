// Faults that are planted in what the live tests import, one at a time: each must make a scenario fail, or the
// scenarios prove nothing. Read by the configuration of these tests and by `npm run providers:planted`.

import { join } from 'node:path'

/** Where the built package is. */
export const DIST = join(import.meta.dirname, '../../dist')

export interface Fault {
  readonly name: string
  /** As the build writes it, in one file of `dist/`. */
  readonly from: string
  readonly to: string
  /** The test file in which a scenario must fail, and a part of that scenario's name. */
  readonly test: string
  readonly scenario: string
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'the preset of Ory Hydra without allowMissingExp',
    from: '"ory-hydra": { allowMissingExp: true, ',
    to: '"ory-hydra": { ',
    test: 'hydra',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of Ory Hydra without transientFailureStatus',
    from: '"ory-hydra": { allowMissingExp: true, ...RETRIES_ON_503 }',
    to: '"ory-hydra": { allowMissingExp: true }',
    test: 'hydra',
    scenario: 'session store fails once',
  },
  {
    name: 'the preset of Glewlwyd without allowMissingExp',
    from: 'glewlwyd: { allowMissingExp: true }',
    to: 'glewlwyd: {}',
    test: 'glewlwyd',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of LemonLDAP::NG without allowMissingExp',
    from: '"lemonldap-ng": { allowMissingExp: true }',
    to: '"lemonldap-ng": {}',
    test: 'lemonldap-ng',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of better-auth without algorithms',
    from: '"better-auth": { algorithms: ["EdDSA"] }',
    to: '"better-auth": {}',
    test: 'better-auth',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'a mark covers nothing',
    from: 'function covers(mark, signOn) {',
    to: 'function covers(mark, signOn) { return false',
    test: 'oidc-provider',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'a mark covers no login that was under way',
    from: 'later <= UNDER_WAY_SECONDS',
    to: 'later <= 0',
    test: 'hydra',
    scenario: 'a code that was issued before the logout',
  },
  {
    name: 'a mark covers also a login that was begun after it was seen',
    from: 'startedAt > seenAt',
    to: 'startedAt < 0',
    test: 'keycloak',
    scenario: 'a revoked consent ends',
  },
  {
    name: 'marks of one client cover the sign-ons of another',
    from: 'client.issuer, client.clientId, value',
    to: 'client.issuer, value',
    test: 'oidc-provider',
    scenario: 'signed in by another client in each browser',
  },
  {
    name: 'an access token is dated by itself, and not by its login',
    from: 'token.authTime ?? token.issuedAt',
    to: 'token.issuedAt',
    test: 'keycloak',
    scenario: 'a logout without sid ends the tokens',
  },
  {
    name: 'of which login an access token is, nobody asks',
    from: 'if (ofItself !== void 0)',
    to: 'if (ofItself === null)',
    test: 'keycloak',
    scenario: 'a logout without sid ends the tokens',
  },
]

/** What a built file is with the fault of that name: the same, where the code of the fault is in another file. */
export function plantedIn(name: string, file: string, code: string): string {
  const fault = FAULTS.find((each) => each.name === name)
  if (fault === undefined) throw new Error(`no fault is called "${name}"`)
  return file.startsWith(DIST) ? code.replace(fault.from, fault.to) : code
}
