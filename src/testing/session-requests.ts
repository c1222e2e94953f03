// What a request does with its session, and how express-session is configured: the two sides of the matrix of session
// stores.
import type { IncomingMessage } from 'node:http'

/** How `session()` is configured, and what that means for it. */
export const SESSION_CONFIGURATIONS = {
  'resave: false': { resave: false, rolling: false },
  'resave: true': { resave: true, rolling: false },
  rolling: { resave: false, rolling: true },
} as const
/** How express-session is configured in one run of the suite. */
export type SessionConfiguration = keyof typeof SESSION_CONFIGURATIONS

/** What the request under way does with its session. */
export const SESSION_OPERATIONS = {
  'reads only': async () => {},
  modifies: async (req) => {
    req.session.visits = (req.session.visits ?? 0) + 1
  },
  'save()': (req) => promised((done) => req.session.save(done)),
  'touch()': async (req) => {
    req.session.touch()
  },
  'reload()': (req) => promised((done) => req.session.reload(done)).catch(() => {}),
  'regenerate() and copies the user': async (req) => {
    const { signOn } = req.session
    await promised((done) => req.session.regenerate(done))
    if (signOn !== undefined) req.session.signOn = signOn
  },
  'destroy()': (req) => promised((done) => req.session.destroy(done)),
} as const satisfies Readonly<Record<string, (req: SessionRequest) => Promise<void>>>
/** What a request under way does while its session is ended. */
export type SessionOperation = keyof typeof SESSION_OPERATIONS

/** As express-session makes it. */
export interface SessionRequest extends IncomingMessage {
  readonly sessionID: string
  readonly session: {
    signOn?: string
    visits?: number
    readonly cookie: { readonly originalMaxAge?: number | null }
    save(done: Done): void
    touch(): void
    reload(done: Done): void
    regenerate(done: Done): void
    destroy(done: Done): void
  }
}

type Done = (error?: unknown) => void

/** What a callback of Node is given, as a promise. */
export function promised(call: (done: (error?: unknown, value?: unknown) => void) => void): Promise<void>
export function promised<T>(call: (done: (error: unknown, value: T) => void) => void): Promise<T>
export function promised(call: (done: (error?: unknown, value?: unknown) => void) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })
}
