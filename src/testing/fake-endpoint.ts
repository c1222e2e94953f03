// One document that the fake OP publishes, and the ways in which publishing it goes wrong. Knows nothing of what it
// says.
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * How an endpoint of the OP answers.
 *
 * - `well`: as it should.
 * - `failing`: 500. `closed`: the connection is cut without an answer.
 * - `silent`: no answer until the behaviour changes; then what was held back is answered. Nothing here runs on a timer.
 * - `redirecting`: 302 to itself. `html`: 200 and a page. `huge`: valid JSON of 8 MiB.
 * - `malformed`: 200, JSON media type, not JSON.
 */
export type Behaviour = 'well' | 'failing' | 'closed' | 'silent' | 'redirecting' | 'html' | 'huge' | 'malformed'

/** Far beyond any honest metadata or key set. */
const HUGE_BYTES = 8 * 1024 * 1024

/** Answers as its behaviour says; counts who asked. */
export class FakeEndpoint {
  seen = 0
  #behaviour: Behaviour = 'well'
  #heldBack: (() => void)[] = []
  readonly #document: () => object

  constructor(document: () => object) {
    this.#document = document
  }

  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour
    for (const answer of this.#heldBack.splice(0)) answer()
  }

  handle(req: IncomingMessage, res: ServerResponse): void {
    this.seen += 1
    this.#answer(req, res)
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    const json = { 'content-type': 'application/json' }
    switch (this.#behaviour) {
      case 'silent':
        this.#heldBack.push(() => this.#answer(req, res))
        return
      case 'closed':
        req.socket.destroy()
        return
      case 'failing':
        res.writeHead(500).end()
        return
      case 'redirecting':
        res.writeHead(302, { location: req.url ?? '/' }).end()
        return
      case 'html':
        res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Sign in</title>')
        return
      case 'malformed':
        res.writeHead(200, json).end('{"keys":[')
        return
      case 'huge':
        res.writeHead(200, json).end(JSON.stringify({ ...this.#document(), padding: 'x'.repeat(HUGE_BYTES) }))
        return
      case 'well':
        res.writeHead(200, json).end(JSON.stringify(this.#document()))
    }
  }
}
