// `npm run providers:table`: writes docs/providers-table.md from the presets and from what was seen of running
// providers.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PRESET_NAMES, type PresetName, preset } from '../src/providers/presets.js'
import type { Seen } from '../test/live-providers/seen.js'

const ROOT = join(import.meta.dirname, '..')

type Preset = readonly [PresetName, ReturnType<typeof preset>]

/** The whole page. The test of the documentation compares it with the file. */
export function providersTable(): string {
  const seen: Seen[] = JSON.parse(readFileSync(join(ROOT, 'test/live-providers/seen.json'), 'utf8'))
  const presets = PRESET_NAMES.map((name): Preset => [name as PresetName, preset(name as PresetName)])
  const live = new Set(seen.map((each) => each.preset))
  const rest = presets.filter(([name]) => !live.has(name))
  return `# What was seen of running OpenID Providers

Written by \`npm run providers:table\` from the presets and from the last \`npm run providers:capture\`, in which each
of these ran on loopback and every statement below was a test through the example's RP. Do not edit it by hand. What to
choose and how to set a provider up is in [Providers](providers.md).

## Their Logout Tokens

| Provider | Version, date | Preset, its options | typ | alg | exp after iat | aud | sub | sid where it is not required |
|---|---|---|---|---|---|---|---|---|
${seen.map((each) => row(tokenCells(each))).join('\n')}

## Their deliveries

"Tries" count deliveries of one Logout Token. A failure is one that a retry can cure, answered as the preset says: 400 or 503.
"A code" was issued before the logout and redeemed after it. "By a new key": the first token that it signs by a key
which the RP has not seen; where it is refused for now, the user is out as soon as the key can be had.

| Provider | Ends | Tells the RP that asked | The user waits | Hangs up after | Tries at 400 | Tries at a failure | A code | By a new key |
|---|---|---|---|---|---|---|---|---|
${seen.map((each) => row(deliveryCells(each))).join('\n')}

## What else ends a session there, and what the RP hears of it

| Provider | Act | Ends at the RP |
|---|---|---|
${seen.flatMap(({ name, acts }) => Object.entries(acts).map(([act, ends]) => row([name, act, ENDS[ends]]))).join('\n')}

## Documented only

No run of these is behind their presets: what they need was read in their sources and documentation.

| Preset | Its options |
|---|---|
${rest.map(([name, options]) => row([`\`${name}\``, said(options)])).join('\n')}
`
}

const ENDS: Readonly<Record<Seen['acts'][string], string>> = {
  session: 'that session',
  user: 'every session of that user',
  nothing: '**nothing: the RP is not told**',
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const yes = (is: boolean) => (is ? 'yes' : 'no')

function tokenCells({ name, version, date, preset: of, shape }: Seen): string[] {
  const { typ, alg, lifetimeSeconds, aud, sub, sidIfNotRequired } = shape
  const sid = sidIfNotRequired === undefined ? 'not tried' : sidIfNotRequired ? 'sent all the same' : 'none'
  const lifetime = lifetimeSeconds === undefined ? '**no exp**' : `${lifetimeSeconds} s`
  const options = of === undefined ? 'none needed' : `\`${of}\`: ${said(preset(of))}`
  return [name, `${version}, ${date}`, options, typ ?? '**absent**', alg, lifetime, aud, sub ? 'yes' : '**never**', sid]
}

function deliveryCells({ name, delivering }: Seen): string[] {
  const { endsEveryBrowser, tellsInitiator, userWaits, hangsUpAfterSeconds, triesOn400, triesOnFailure } = delivering
  return [
    name,
    endsEveryBrowser ? '**every browser of the user**' : 'one browser',
    yes(tellsInitiator),
    yes(userWaits),
    hangsUpAfterSeconds === undefined ? 'more than 10 s' : `${hangsUpAfterSeconds} s`,
    String(triesOn400),
    String(triesOnFailure),
    delivering.codeAfterLogout,
    delivering.newKey ?? 'not tried',
  ]
}

function said(options: object): string {
  const entries = Object.entries(options)
  if (entries.length === 0) return 'none'
  return entries.map(([name, value]) => `\`${name}: ${JSON.stringify(value).replaceAll('"', "'")}\``).join(', ')
}

export function writeProvidersTable(): void {
  writeFileSync(join(ROOT, 'docs/providers-table.md'), providersTable())
}

if (process.argv[1] === import.meta.filename) writeProvidersTable()
