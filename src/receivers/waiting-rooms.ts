// Where tokens wait: rooms of bounded size, each token once, and who has to go when one is full. Knows no keys and no time.
import { randomInt } from 'node:crypto'
import type { AwaitedKeys } from '../tokens/keys-awaited.js'

/** A token that waits. */
export interface Kept {
  /** Of its bytes. */
  readonly id: string
  readonly token: string
  readonly room: string
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

interface Room {
  readonly bySender: Map<string, Kept[]>
  length: number
}

/** All rooms of one receiver. */
export class Rooms {
  readonly #rooms = new Map<string, Room>()
  readonly #byId = new Map<string, Kept>()
  #length = 0

  get size(): number {
    return this.#byId.size
  }

  has({ id }: Kept): boolean {
    return this.#byId.has(id)
  }

  ids(): readonly string[] {
    return [...this.#rooms.keys()]
  }

  in(room: string): readonly Kept[] {
    return [...(this.#rooms.get(room)?.bySender.values() ?? [])].flat()
  }

  /** `added`: it waits now, and did not before. `displaced`: who had to go for it, perhaps itself. */
  add(kept: Kept): { readonly added: boolean; readonly displaced?: Kept } {
    if (this.#byId.has(kept.id)) return { added: false }
    if (kept.token.length > MAX_TOKEN_LENGTH) return { added: false, displaced: kept }
    this.#put(kept)
    let displaced: Kept | undefined
    while ((this.#rooms.get(kept.room)?.length ?? 0) > ROOM_LENGTH)
      displaced = this.#displaceFrom(kept.room) ?? displaced
    while (this.#length > TOTAL_LENGTH) displaced = this.#displaceFrom(this.#longestRoom()) ?? displaced
    return { added: this.#byId.has(kept.id), ...(displaced !== undefined && { displaced }) }
  }

  /** Its provider is known now. */
  move(kept: Kept, awaited: AwaitedKeys, room: string): void {
    this.remove(kept)
    this.add({ ...kept, awaited, room })
  }

  remove(kept: Kept): void {
    const room = this.#rooms.get(kept.room)
    const waiting = room?.bySender.get(kept.sender)
    const at = waiting?.findIndex(({ id }) => id === kept.id) ?? -1
    if (room === undefined || waiting === undefined || at < 0) return
    waiting.splice(at, 1)
    room.length -= kept.token.length
    this.#length -= kept.token.length
    this.#byId.delete(kept.id)
    if (waiting.length === 0) room.bySender.delete(kept.sender)
    if (room.bySender.size === 0) this.#rooms.delete(kept.room)
  }

  clear(): void {
    this.#rooms.clear()
    this.#byId.clear()
    this.#length = 0
  }

  #put(kept: Kept): void {
    const room = this.#rooms.get(kept.room) ?? { bySender: new Map<string, Kept[]>(), length: 0 }
    this.#rooms.set(kept.room, room)
    const waiting = room.bySender.get(kept.sender) ?? []
    waiting.push(kept)
    room.bySender.set(kept.sender, waiting)
    room.length += kept.token.length
    this.#length += kept.token.length
    this.#byId.set(kept.id, kept)
  }

  /** One by chance, of the sender who has the most there. */
  #displaceFrom(id: string): Kept | undefined {
    const senders = [...(this.#rooms.get(id)?.bySender.values() ?? [])]
    const [most = []] = senders.sort((a, b) => b.length - a.length)
    const chosen = most.length === 0 ? undefined : most[randomInt(most.length)]
    if (chosen !== undefined) this.remove(chosen)
    return chosen
  }

  #longestRoom(): string {
    const [longest] = [...this.#rooms].sort(([, a], [, b]) => b.length - a.length)
    return longest?.[0] ?? ''
  }
}
