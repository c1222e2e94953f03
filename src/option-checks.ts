// How options are checked, for every factory alike: a name that a factory does not have is refused, and the one that
// was meant is said; a number has one form and one sentence. Knows no option itself.

/** Every name that the type has: one that is missing here does not compile. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>

/**
 * Refuses what is no object, and any name in it that is not among `names`.
 *
 * @throws TypeError `redisStore() has no option "keyPrefix": it appears you mean prefix`
 */
export function assertOptions(what: string, given: unknown, names: Readonly<Record<string, true>>): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const whose = what.endsWith('()') ? `the options of ${what}` : what
    throw new TypeError(`${whose} must be an object: ${listOf(names)}`)
  }
  const stranger = Object.keys(given).find((name) => !Object.hasOwn(names, name))
  if (stranger === undefined) return
  const meant = nearestName(stranger, Object.keys(names))
  const remedy = meant === undefined ? `it has ${listOf(names)}` : `it appears you mean ${meant}`
  throw new TypeError(`${what} has no option ${JSON.stringify(stranger)}: ${remedy}`)
}

/** @throws TypeError for what is given and no function */
export function functionIfGiven(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw new TypeError(`${name} must be a function`)
}

/** Ten years: what is longer was given in milliseconds. */
export const LONGEST_LIFETIME_SECONDS = 315_360_000

/** Which numbers an option takes. */
export interface NumberRange {
  /** It must be greater than this. */
  readonly above?: number
  /** It may be this; default 0 where there is no `above`. */
  readonly least?: number
  readonly most?: number
  readonly isWhole?: boolean
  /** What to do instead, or why. */
  readonly remedy?: string
}

/**
 * The one check of a number, and its one sentence. Whoever writes milliseconds is told the unit.
 *
 * @throws TypeError `timeoutSeconds must be a number of seconds, not milliseconds, above 0 and at most 60`
 */
export function assertNumber(name: string, value: unknown, range: NumberRange): asserts value is number {
  const { above, least = 0, most = Number.POSITIVE_INFINITY, isWhole = false, remedy } = range
  const isInRange =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    (above === undefined ? value >= least : value > above) &&
    value <= most &&
    (!isWhole || Number.isInteger(value))
  if (isInRange) return
  const kind = `a ${isWhole ? 'whole ' : ''}number${/seconds$/i.test(name) ? ' of seconds, not milliseconds,' : ''}`
  const from = above === undefined ? `of ${least} or more` : `above ${above}`
  const to = most === Number.POSITIVE_INFINITY ? '' : ` and at most ${most}`
  throw new TypeError(`${name} must be ${kind} ${from}${to}${remedy === undefined ? '' : `; ${remedy}`}`)
}

/** The same for an option that may be left out. */
export function assertNumberIfGiven(name: string, value: unknown, range: NumberRange): void {
  if (value !== undefined) assertNumber(name, value, range)
}

/** A text that says something. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function listOf(names: object): string {
  return Object.keys(names).join(', ')
}

/** The name that differs least, if it differs in no more than a third of the letters, or holds the other. */
export function nearestName(stranger: string, names: readonly string[]): string | undefined {
  const given = lettersOf(stranger)
  const [best] = names
    .map((name) => ({ name, distance: editsBetween(given, lettersOf(name)) }))
    .filter(({ name, distance }) => distance <= Math.max(given.length, lettersOf(name).length) / 3)
    .sort((a, b) => a.distance - b.distance)
  return best?.name ?? names.find((name) => isPartOf(given, lettersOf(name)))
}

/** `client_secret`, `jwksURI` and `client-secret` are the same words in other spellings. */
function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

function isPartOf(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= 5 && (a.includes(b) || b.includes(a))
}

/** Levenshtein distance: letters to add, drop or change. */
function editsBetween(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [row, letter] of [...a].entries()) {
    const line = [row + 1]
    for (const [column, other] of [...b].entries()) {
      const changed = (above[column] ?? 0) + (letter === other ? 0 : 1)
      line.push(Math.min(changed, (above[column + 1] ?? 0) + 1, (line[column] ?? 0) + 1))
    }
    above = line
  }
  return above.at(-1) ?? 0
}
