// Where tokens wait: rooms of bounded size, each token once, and who has to go when one is full. Knows no keys and no
// time.
import { randomInt } from 'node:crypto'
import { networksOf } from '../http/address-networks.js'
import type { AwaitedKeys } from '../tokens/keys-awaited.js'

/** Tokens that displace each other, and no others while there is room in all. */
export interface Room {
  readonly id: string
  /** How much speaks for the tokens in it: where there is no room in all, the lowest rank goes first. */
  readonly rank: number
}

/** A token that waits. */
export interface Kept {
  /** Of its bytes. */
  readonly id: string
  readonly token: string
  /** That it claims; nobody has verified it. Empty where it cannot be read. */
  readonly issuer: string
  readonly room: Room
  /** The address it came from; empty where that is not known. */
  readonly sender: string
  /** Epoch seconds. */
  readonly cameAt: number
  /** The same by the monotonic clock. */
  readonly cameAtMonotonic: number
  readonly expiresAt: number
  /** Absent where no provider was found yet. */
  readonly awaited: AwaitedKeys | undefined
}

/** A Logout Token has one or two kilobytes; a longer one is not kept. */
const MAX_TOKEN_LENGTH = 16_384
/** Characters of tokens in one room, about four thousand tokens … */
const ROOM_LENGTH = 4 * 1024 * 1024
/** … and in all of them, however many clients there are. */
const TOTAL_LENGTH = 32 * 1024 * 1024
/** Who fills more than this part of a room is taken for a flood. */
const FLOOD_PART = 1 / 8

/** Those of one network: of the narrowest are tokens in it, of the others networks. */
interface Crowd {
  length: number
  readonly crowds: Map<string, Crowd>
  readonly tokens: Set<Kept>
}

/** All rooms of one receiver. */
export class Rooms {
  readonly #rooms = new Map<string, { readonly room: Room; readonly crowd: Crowd }>()
  readonly #byId = new Map<string, Kept>()
  #length = 0

  get size(): number {
    return this.#byId.size
  }

  has({ id }: Kept): boolean {
    return this.#byId.has(id)
  }

  /** Those that wait, by room. */
  all(): readonly (readonly Kept[])[] {
    return [...this.#rooms.values()].map(({ crowd }) => tokensIn(crowd))
  }

  /** `added`: it waits now, and did not before. `displaced`: how many had to go for it, perhaps itself. */
  add(kept: Kept): { readonly added: boolean; readonly displaced: number } {
    if (this.#byId.has(kept.id)) return { added: false, displaced: 0 }
    if (kept.token.length > MAX_TOKEN_LENGTH) return { added: false, displaced: 1 }
    const { crowd } = this.#put(kept)
    const before = this.#byId.size
    while (crowd.length > ROOM_LENGTH) this.remove(chosenFrom(crowd))
    while (this.#length > TOTAL_LENGTH) this.remove(chosenFrom(this.#crowdOfLeast()))
    return { added: this.#byId.has(kept.id), displaced: before - this.#byId.size }
  }

  remove({ id }: Kept): void {
    const kept = this.#byId.get(id)
    const entry = kept && this.#rooms.get(kept.room.id)
    if (kept === undefined || entry === undefined) return
    this.#byId.delete(id)
    this.#length -= kept.token.length
    takeFrom(entry.crowd, networksOf(kept.sender), kept)
    if (entry.crowd.length === 0) this.#rooms.delete(kept.room.id)
  }

  clear(): void {
    this.#rooms.clear()
    this.#byId.clear()
    this.#length = 0
  }

  #put(kept: Kept) {
    const entry = this.#rooms.get(kept.room.id) ?? { room: kept.room, crowd: newCrowd() }
    this.#rooms.set(kept.room.id, entry)
    this.#byId.set(kept.id, kept)
    this.#length += kept.token.length
    let { crowd } = entry
    crowd.length += kept.token.length
    for (const network of networksOf(kept.sender)) {
      const narrower = crowd.crowds.get(network) ?? newCrowd()
      crowd.crowds.set(network, narrower)
      narrower.length += kept.token.length
      crowd = narrower
    }
    crowd.tokens.add(kept)
    return entry
  }

  /** The longest of the lowest rank that is there. */
  #crowdOfLeast(): Crowd {
    const [least] = [...this.#rooms.values()].sort(
      (a, b) => a.room.rank - b.room.rank || b.crowd.length - a.crowd.length,
    )
    return least?.crowd ?? newCrowd()
  }
}

function newCrowd(): Crowd {
  return { length: 0, crowds: new Map(), tokens: new Set() }
}

function tokensIn({ crowds, tokens }: Crowd): readonly Kept[] {
  return [...tokens, ...[...crowds.values()].flatMap(tokensIn)]
}

function takeFrom(crowd: Crowd, [network, ...narrower]: readonly string[], kept: Kept): void {
  crowd.length -= kept.token.length
  crowd.tokens.delete(kept)
  const within = network === undefined ? undefined : crowd.crowds.get(network)
  if (network === undefined || within === undefined) return
  takeFrom(within, narrower, kept)
  if (within.length === 0) crowd.crowds.delete(network)
}

/**
 * The token that has to go. A network that fills more than an eighth of the room displaces its own, whichever has most;
 * so on down, through the networks in it. Where none does, by chance, a character as likely as another: to call the
 * one that has most a flood would give a busy OP away to thousands of addresses that send one token each. The price:
 * such a crowd thins out what waits there, and an OP that is seen for the first time has nothing but chance against it.
 */
function chosenFrom(crowd: Crowd): Kept {
  const [first, ...others] = crowd.crowds.values()
  if (first === undefined) return byChance(crowd.tokens, ({ token }) => token.length, crowd.length)
  const most = others.reduce((longest, each) => (each.length > longest.length ? each : longest), first)
  if (most.length > crowd.length * FLOOD_PART) return chosenFrom(most)
  return chosenFrom(byChance(crowd.crowds.values(), ({ length }) => length, crowd.length))
}

function byChance<T>(from: Iterable<T>, lengthOf: (each: T) => number, length: number): T {
  let left = randomInt(length)
  for (const each of from) {
    left -= lengthOf(each)
    if (left < 0) return each
  }
  throw new RangeError('nothing waits there')
}
