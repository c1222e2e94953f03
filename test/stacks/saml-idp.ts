// A real SAML identity provider (samlp) for the recipe: signs in whom the test says, without a page in between, and
// keeps for each browser's session which service providers take part in it.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type express5 from 'express'
import session from 'express-session'
import samlp from 'samlp'
import SessionParticipants from 'samlp/lib/sessionParticipants/index.js'
import { keysOf } from '../saml/keys.js'

/** samlp reads what Express 5 has no more. */
const express: typeof express5 = createRequire(import.meta.url)('express4')

const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'

interface IdpSession {
  readonly user: string
  readonly index: string
  readonly participants: InstanceType<typeof SessionParticipants>
}

export interface SamlIdp {
  readonly entityId: string
  readonly ssoUrl: string
  readonly sloUrl: string
  /** Who signs in next where nobody is signed in. */
  nextUser: string
  /** The SessionIndex of that session, where it is one that was given before. */
  nextIndex: string | undefined
  /** Sessions that are open here. */
  readonly sessions: ReadonlyMap<string, IdpSession>
  /** What went wrong here. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

export async function startSamlIdp(spOrigin: string): Promise<SamlIdp> {
  const app = express()
  const server = createServer(app)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const origin = `http://127.0.0.1:${address.port}`
  const { key, cert } = keysOf('idp')
  const entityId = `${origin}/metadata`
  const sessions = new Map<string, IdpSession>()
  const complaints: string[] = []
  const idp: SamlIdp = {
    entityId,
    ssoUrl: `${origin}/sso`,
    sloUrl: `${origin}/slo`,
    nextUser: 'ada',
    nextIndex: undefined,
    sessions,
    complaints,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }

  app.use(express.urlencoded({ extended: false }))
  app.use(session({ name: 'idp', secret: 'idp', resave: false, saveUninitialized: true }))

  app.get('/sso', (req, res, next) => {
    const open = sessions.get(req.sessionID) ?? newSession(idp.nextUser, idp.nextIndex)
    sessions.set(req.sessionID, open)
    const { user, index, participants } = open
    const participant = {
      serviceProviderId: `${spOrigin}/saml`,
      sessionIndex: index,
      nameId: user,
      nameIdFormat: PERSISTENT,
      serviceProviderLogoutURL: `${spOrigin}/saml/slo`,
      cert: keysOf('sp').cert,
    }
    if (participants._participants.length === 0) {
      sessions.set(req.sessionID, { user, index, participants: new SessionParticipants([participant]) })
    }
    samlp.auth({
      issuer: entityId,
      cert,
      key,
      signResponse: true,
      signingCert: keysOf('sp').cert,
      sessionIndex: index,
      getUserFromRequest: () => user,
      profileMapper: (nameIdentifier: string) => ({
        getClaims: () => ({}),
        getNameIdentifier: () => ({ nameIdentifier, nameIdentifierFormat: PERSISTENT }),
      }),
      getPostURL: (_audience: unknown, _dom: unknown, _req: unknown, cb: (error: null, url: string) => void) =>
        cb(null, `${spOrigin}/saml/acs`),
      recipient: `${spOrigin}/saml/acs`,
      destination: `${spOrigin}/saml/acs`,
    })(req, res, next)
  })

  // Without a message it begins here: a LogoutRequest for each service provider of this browser's session.
  app.all('/slo', (req, res, next) => {
    const { sessionID } = req
    samlp.logout({
      issuer: entityId,
      cert,
      key,
      deflate: true,
      protocolBinding: req.session.binding ?? 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect',
      sessionParticipants: sessions.get(sessionID)?.participants ?? new SessionParticipants([]),
      clearIdPSession: (cb: () => void) => {
        sessions.delete(sessionID)
        cb()
      },
    })(req, res, next)
  })

  /** The same by the other binding. */
  app.get('/slo-by-post', (req, res) => {
    req.session.binding = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST'
    res.redirect('/slo')
  })

  app.use(((error, _req, res, _next) => {
    complaints.push(String(error))
    res.status(500).send('The identity provider failed')
  }) satisfies express5.ErrorRequestHandler)

  return idp
}

declare module 'express-session' {
  interface SessionData {
    binding?: string
  }
}

function newSession(user: string, index: string = randomUUID()): IdpSession {
  return { user, index, participants: new SessionParticipants([]) }
}
