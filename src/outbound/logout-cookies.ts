// The cookies that a browser takes along on its way to the OP and back: one for each way back and one for each token,
// so that no answer writes over another's. Sealed, together no longer than browsers keep a single one, and read with
// whatever else a neighbour on the domain has laid beside them. Knows what they hold, and neither where the browser
// goes nor what becomes of it.
import { cookiesBeginning, hostCookieName, LONGEST_COOKIE } from '../http/cookies.js'
import { type PendingLogout, type ProviderLogout, type WayBack, withoutToken } from './pending-logouts.js'
import type { SealedValues } from './sealed-values.js'

/** All that these cookies hold: the logouts that are pending, the oldest first, and what outlives them. */
export interface LogoutCookiesContent {
  readonly logouts: readonly PendingLogout[]
  readonly askForPassword: boolean
}

/** What a request brought, and by which cookies. */
export interface HeldLogouts extends LogoutCookiesContent {
  /** What is sealed in each, by its name; `undefined` where it was not sealed here. */
  readonly held: ReadonlyMap<string, string | undefined>
}

/** Whole `Set-Cookie` headers, and the tokens that are in none. */
export interface PackedCookies {
  readonly cookies: readonly string[]
  /** Older ones, for which there is no room: whose they are knows nobody but who reads this now. */
  readonly crowdedOut: readonly PendingLogout[]
  /** The latest, which no cookie holds. */
  readonly tooLong: PendingLogout | undefined
}

/** How long a browser may be on its way. */
export const ON_THE_WAY_SECONDS = 600
/** As long as a password is asked for, and as a token waits for a request that finds its logout to be over. */
const KEPT_SECONDS = 3600
const MOST_LOGOUTS = 5
const MOST_WAYS = 8
/** Together in a request's header, which servers and proxies bound to 8 KB or 16. Bytes. */
const MOST_TOGETHER = LONGEST_COOKIE

/** One cookie before it is sealed: its kind, and what tells it from others of that kind. */
interface Part {
  readonly kind: keyof typeof PURPOSES
  readonly id: string
  readonly text: string
}

const PURPOSES = {
  w: 'a logout on its way',
  t: 'the token of a logout on its way',
  p: 'a password to be asked for',
} as const

type WayPart = readonly [
  logout: string,
  id: string,
  state: string | null,
  ProviderLogout,
  WayBack['upstream'],
  expiresAt: number,
  issuer?: string,
  clientId?: string,
]
type TokenPart = readonly [logout: string, issuer: string, clientId: string, refreshToken: string]

export class LogoutCookies {
  /** All pages to which the browser comes back are served over TLS. */
  readonly isSecure: boolean
  readonly #sealed: SealedValues
  readonly #prefix: string
  readonly #attributes: string

  constructor(sealed: SealedValues, uris: readonly string[]) {
    this.#sealed = sealed
    const isSecure = uris.every((uri) => new URL(uri).protocol === 'https:')
    this.isSecure = isSecure
    this.#prefix = `${hostCookieName('oidc_logout', uris.join(' '), isSecure)}_`
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  }

  /** Of several cookies of one name each that was sealed here counts: which of them is this browser's own, none says. */
  read(cookieHeader: string | undefined): HeldLogouts {
    const held = new Map<string, string | undefined>()
    const opened: { kind: string; text: string }[] = []
    for (const [name, value] of cookiesBeginning(cookieHeader, this.#prefix)) {
      const kind = name.charAt(this.#prefix.length)
      const text = isKind(kind) ? this.#sealed.open(PURPOSES[kind], value) : undefined
      // Of two values one is to be taken away.
      held.set(name, held.has(name) ? undefined : text)
      if (text !== undefined) opened.push({ kind, text })
    }
    const textsOf = (kind: Part['kind']) => [
      ...new Set(opened.flatMap((each) => (each.kind === kind ? each.text : []))),
    ]
    const logouts = logoutsOf(
      textsOf('t').map((text): TokenPart => JSON.parse(text)),
      textsOf('w').map((text): WayPart => JSON.parse(text)),
    )
    return { held, logouts, askForPassword: textsOf('p').length > 0 }
  }

  /**
   * What is to be set and taken away, so that these are held: what is held already stays untouched. The oldest give
   * way: first their tokens, since those are long, then that they were on their way at all.
   */
  packed({ held }: HeldLogouts, { logouts, askForPassword }: LogoutCookiesContent): PackedCookies {
    const crowdedOut = logouts.slice(0, -MOST_LOGOUTS)
    let kept: readonly PendingLogout[] = logouts
      .slice(-MOST_LOGOUTS)
      .map((each) => ({ ...each, ways: each.ways.slice(-MOST_WAYS) }))
    let tooLong: PendingLogout | undefined
    const latest = kept.at(-1)
    if (latest?.refreshToken !== undefined && !this.#fits([{ ...latest, ways: latest.ways.slice(-1) }])) {
      tooLong = latest
      kept = kept.with(-1, withoutToken(latest))
    }
    while (!this.#fits(kept)) {
      const index = kept.slice(0, -1).findIndex(({ refreshToken }) => refreshToken !== undefined)
      const [crowded, [oldest]] = [kept[index], kept]
      if (crowded !== undefined) {
        crowdedOut.push(crowded)
        kept = kept.with(index, withoutToken(crowded))
      } else if (oldest !== undefined && oldest.ways.length > 1) {
        kept = kept.with(0, { ...oldest, ways: oldest.ways.slice(1) })
      } else kept = kept.slice(1)
    }
    const parts = new Map(partsOf(kept, askForPassword).map((part) => [this.#nameOf(part), part]))
    const gone = [...held.keys()].filter((name) => !parts.has(name))
    const set = [...parts].filter(([name, { text }]) => held.get(name) !== text)
    const cookies = [...set.map(([, part]) => this.#header(part)), ...gone.map((name) => this.#with(name, '', 0))]
    return { cookies, crowdedOut, tooLong }
  }

  /** With room for the password, whether it is to be asked for or not. */
  #fits(logouts: readonly PendingLogout[]): boolean {
    const headers = partsOf(logouts, true).map((part) => this.#header(part))
    const pairs = headers.map((header) => header.split(';', 1)[0]?.length ?? 0)
    const together = pairs.reduce((sum, length) => sum + length + '; '.length, 0)
    return together <= MOST_TOGETHER && headers.every((header) => header.length <= LONGEST_COOKIE)
  }

  #nameOf({ kind, id }: Part): string {
    return this.#prefix + kind + id
  }

  #header(part: Part): string {
    const value = this.#sealed.seal(PURPOSES[part.kind], part.text)
    return this.#with(this.#nameOf(part), value, part.kind === 'w' ? ON_THE_WAY_SECONDS : KEPT_SECONDS)
  }

  #with(name: string, value: string, maxAgeSeconds: number): string {
    return `${name}=${value}; ${this.#attributes}; Max-Age=${maxAgeSeconds}`
  }
}

function isKind(kind: string): kind is Part['kind'] {
  return Object.hasOwn(PURPOSES, kind)
}

function partsOf(logouts: readonly PendingLogout[], askForPassword: boolean): readonly Part[] {
  const parts: Part[] = []
  const add = (kind: Part['kind'], id: string, part: WayPart | TokenPart | true) => {
    parts.push({ kind, id, text: JSON.stringify(part) })
  }
  for (const { id, client, refreshToken, ways } of logouts) {
    const named = client === undefined ? ([] as const) : ([client.issuer, client.clientId] as const)
    for (const way of ways) {
      const { state = null, provider, upstream, expiresAt } = way
      add('w', way.id, [id, way.id, state, provider, upstream, expiresAt, ...named])
    }
    if (client !== undefined && refreshToken !== undefined) {
      add('t', id, [id, client.issuer, client.clientId, refreshToken])
    }
  }
  if (askForPassword) add('p', '', true)
  return parts
}

/** The oldest first. A token of which no way back is known any more is of a logout that is over. */
function logoutsOf(tokens: readonly TokenPart[], wayParts: readonly WayPart[]): readonly PendingLogout[] {
  const logouts = new Map<string, PendingLogout>()
  for (const [id, issuer, clientId, refreshToken] of tokens) {
    logouts.set(id, { id, client: { issuer, clientId }, refreshToken, ways: [] })
  }
  for (const [logout, id, state, provider, upstream, expiresAt, issuer, clientId] of wayParts.toSorted(byTime)) {
    const client = issuer === undefined || clientId === undefined ? undefined : { issuer, clientId }
    const { ways, ...known } = logouts.get(logout) ?? { id: logout, client, ways: [] }
    const way = { id, ...(state !== null && { state }), provider, upstream, expiresAt }
    logouts.delete(logout)
    logouts.set(logout, { ...known, ways: [...ways, way] })
  }
  return [...logouts.values()]
}

/** Browsers send the older cookie first (RFC 6265 5.4), so that two of one moment stay as they are. */
function byTime([, , , , , one]: WayPart, [, , , , , other]: WayPart): number {
  return one - other
}
