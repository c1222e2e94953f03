// Where the records of `rpInitiatedLogout` are in the rows of sessions, and what opens the tokens in them. Reads no row
// itself, and asks no provider.
import type { Client } from '../marks/target.js'
import { recordOf } from './debt.js'
import type { EndSessionRecord } from './end-session.js'
import type { TokensToRevoke } from './revoke-tokens.js'

export interface RecordSource {
  readonly recordIn: (session: Readonly<Record<string, unknown>>) => unknown
  /** The token in a record, opened; `undefined` for one that was not sealed here. */
  readonly tokensOf: (record: EndSessionRecord) => TokensToRevoke | undefined
  readonly afterSeconds: number
}

export class RecordSources {
  readonly #sources: RecordSource[] = []

  add(source: RecordSource): void {
    this.#sources.push(source)
  }

  get isEmpty(): boolean {
    return this.#sources.length === 0
  }

  /** The longest. */
  get afterSeconds(): number {
    return Math.max(...this.#sources.map(({ afterSeconds }) => afterSeconds))
  }

  /** One of this client. What a source throws, or rejects with, counts as none. */
  async recordIn(row: object, client: Client): Promise<EndSessionRecord | undefined> {
    for (const { recordIn } of this.#sources) {
      const record = recordOf(await foundBy(recordIn, row))
      // Of another provider, e.g. of an account that was linked: its session goes on there.
      if (record?.issuer === client.issuer && record.clientId === client.clientId) return record
    }
    return undefined
  }

  tokensOf(record: EndSessionRecord): TokensToRevoke | undefined {
    for (const { tokensOf } of this.#sources) {
      const tokens = tokensOf(record)
      if (tokens !== undefined) return tokens
    }
    return undefined
  }
}

async function foundBy(recordIn: RecordSource['recordIn'], row: object): Promise<unknown> {
  try {
    return await recordIn({ ...row })
  } catch {
    return undefined
  }
}
