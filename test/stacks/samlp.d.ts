// As much of samlp as the tests' identity provider uses: it brings no types of its own.
declare module 'samlp' {
  import type { RequestHandler } from 'express'

  interface Samlp {
    auth(options: Record<string, unknown>): RequestHandler
    logout(options: Record<string, unknown>): RequestHandler
  }
  const samlp: Samlp
  export = samlp
}
declare module 'samlp/lib/sessionParticipants/index.js' {
  const SessionParticipants: new (participants: object[]) => { readonly _participants: readonly object[] }
  export = SessionParticipants
}
