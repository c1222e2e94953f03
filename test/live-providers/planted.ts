// Faults that are planted in what the live tests import, one at a time: each must make a scenario fail, or the scenarios prove nothing.
// Read by the configuration of these tests and by `npm run providers:planted`.

export interface Fault {
  readonly name: string
  /** Below `dist/`. */
  readonly file: string
  readonly from: string
  readonly to: string
  /** The test file in which a scenario must fail, and a part of that scenario's name. */
  readonly test: string
  readonly scenario: string
}

const PRESETS = 'providers/presets.js'
const COVERING = 'marks/covering.js'

export const FAULTS: readonly Fault[] = [
  {
    name: 'the preset of Ory Hydra without allowMissingExp',
    file: PRESETS,
    from: "'ory-hydra': { allowMissingExp: true, ",
    to: "'ory-hydra': { ",
    test: 'hydra',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of Ory Hydra without transientFailureStatus',
    file: PRESETS,
    from: "'ory-hydra': { allowMissingExp: true, ...RETRIES_ON_503 }",
    to: "'ory-hydra': { allowMissingExp: true }",
    test: 'hydra',
    scenario: 'session store fails once',
  },
  {
    name: 'the preset of Glewlwyd without allowMissingExp',
    file: PRESETS,
    from: 'glewlwyd: { allowMissingExp: true }',
    to: 'glewlwyd: {}',
    test: 'glewlwyd',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of LemonLDAP::NG without allowMissingExp',
    file: PRESETS,
    from: "'lemonldap-ng': { allowMissingExp: true }",
    to: "'lemonldap-ng': {}",
    test: 'lemonldap-ng',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'the preset of better-auth without algorithms',
    file: PRESETS,
    from: "'better-auth': { algorithms: ['EdDSA'] }",
    to: "'better-auth': {}",
    test: 'better-auth',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'a mark covers nothing',
    file: COVERING,
    from: 'export function covers(mark, signOn) {',
    to: 'export function covers(mark, signOn) { return false',
    test: 'oidc-provider',
    scenario: 'the user logs out at one RP',
  },
  {
    name: 'a mark covers no login that was under way',
    file: COVERING,
    from: 'later <= UNDER_WAY_SECONDS',
    to: 'later <= 0',
    test: 'hydra',
    scenario: 'a code that was issued before the logout',
  },
  {
    name: 'a mark covers also a login that was begun after it was seen',
    file: COVERING,
    from: 'startedAt > seenAt',
    to: 'startedAt < 0',
    test: 'keycloak',
    scenario: 'a revoked consent ends',
  },
]

/** What a compiled file is with the fault of that name. Throws where the fault no longer fits the code. */
export function plantedIn(name: string, file: string, code: string): string {
  const fault = FAULTS.find((each) => each.name === name)
  if (fault === undefined) throw new Error(`no fault is called "${name}"`)
  if (!file.endsWith(`/dist/${fault.file}`)) return code
  if (!code.includes(fault.from)) throw new Error(`"${name}" cannot be planted: ${fault.file} reads otherwise now`)
  return code.replace(fault.from, fault.to)
}
