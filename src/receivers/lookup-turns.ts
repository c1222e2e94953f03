// Whose turn it is: of tokens for which the application's function of the issuer failed, one for each issuer that they
// claim, and the issuers in turn. Asks nobody.
import type { Kept } from './waiting-rooms.js'

/** The tokens of one claimed issuer: whether the function works again for it is found out by one of them. */
export interface Turn {
  readonly probe: Kept
  readonly others: readonly Kept[]
}

/**
 * Nobody has verified the issuer that a token claims, and for one that is not ours the function may fail for ever. So
 * no issuer waits for another; one that has just had its turn comes after all that were there by then, and before
 * whatever came later, so that no stream of invented issuers keeps it from its next.
 */
export class LookupTurns {
  #issuers = new Map<string, { readonly since: number; readonly tries: number }>()
  #rounds = 0

  /** At most so many, whose turn it is. What does not wait any more is forgotten. */
  next(waiting: readonly Kept[], most: number): readonly Turn[] {
    this.#rounds++
    const before = this.#issuers
    this.#issuers = new Map()
    const byIssuer = new Map<string, Kept[]>()
    for (const kept of waiting) {
      const ofIssuer = byIssuer.get(kept.issuer)
      if (ofIssuer !== undefined) ofIssuer.push(kept)
      else {
        byIssuer.set(kept.issuer, [kept])
        this.#issuers.set(kept.issuer, before.get(kept.issuer) ?? { since: this.#rounds, tries: 0 })
      }
    }
    return [...this.#issuers]
      .sort(([, one], [, other]) => one.since - other.since)
      .slice(0, most)
      .flatMap(([issuer, { tries }]) => turnOf(byIssuer.get(issuer) ?? [], tries))
  }

  /** It has had its turn. */
  tried({ issuer }: Kept): void {
    const { tries = 0 } = this.#issuers.get(issuer) ?? {}
    this.#issuers.set(issuer, { since: this.#rounds, tries: tries + 1 })
  }
}

/** Another one each time. */
function turnOf(waiting: readonly Kept[], tries: number): readonly Turn[] {
  const probe = waiting[tries % waiting.length]
  return probe === undefined ? [] : [{ probe, others: waiting.filter((kept) => kept !== probe) }]
}
