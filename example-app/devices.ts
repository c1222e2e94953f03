// "Your devices": where the user is signed in, and how one session, all others or all of them are ended. Reads whose
// they are from the session, never from the request.
import { type Request, type Response, Router } from 'express'
import type { BackchannelLogout } from 'oidc-backchannel-logout'
import { devicesPage, type Look } from './devices-page.js'

export interface DevicesOptions {
  readonly logout: Pick<BackchannelLogout<Request>, 'sessions' | 'terminate'>
  readonly client: { readonly issuer: string; readonly clientId: string }
  /** Origin of this RP: a form of any other site is refused. */
  readonly origin: string
  readonly look: Look
}

/** Why these sessions ended, in events and to `onLogout`. */
export const BY_USER = 'user'

/** Its routes, to be mounted behind `session()`. */
export function devices({ logout, client, origin, look }: DevicesOptions): Router {
  const router = Router()
  /** Whose sessions these are; `undefined` once the answer is given. */
  const userOf = (req: Request, res: Response) => {
    res.set('Cache-Control', 'no-store')
    const sub = req.session.signOn?.sub
    if (sub === undefined) res.redirect(303, '/')
    return sub === undefined ? undefined : { ...client, sub }
  }

  router.get('/devices', async (req, res) => {
    const user = userOf(req, res)
    if (user === undefined) return
    const cursor = typeof req.query.after === 'string' ? req.query.after : undefined
    const page = await logout.sessions.list(user, { current: req, cursor })
    res.send(devicesPage({ ...look, ...page }))
  })

  router.post('/devices/end/:handle', async (req, res) => {
    if (refused(req, res, origin)) return
    const user = userOf(req, res)
    if (user === undefined) return
    await logout.sessions.end(user, req.params.handle)
    res.redirect(303, '/devices')
  })

  router.post('/devices/end-others', async (req, res) => {
    if (refused(req, res, origin)) return
    const user = userOf(req, res)
    if (user === undefined) return
    const { error } = await logout.terminate(user, { except: req, reason: BY_USER })
    if (error) throw error
    res.redirect(303, '/devices')
  })
  return router
}

/** SameSite cookies keep other sites out, and not the neighbours on one's own domain: these have another origin. */
function refused(req: Request, res: Response, origin: string): boolean {
  const site = req.get('sec-fetch-site')
  const isOurs = site === undefined ? [undefined, origin].includes(req.get('origin')) : site === 'same-origin'
  if (!isOurs) res.status(403).set('Cache-Control', 'no-store').end()
  return !isOurs
}

/** By which words the user knows this browser again. Guessed, and never more than shown. */
export function labelOf(userAgent: string | undefined): string {
  const found = (names: readonly (readonly [pattern: RegExp, name: string])[]) =>
    names.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1]
  const browser = found([
    [/Edg\//, 'Edge'],
    [/OPR\//, 'Opera'],
    [/Firefox\//, 'Firefox'],
    [/Chrom(?:e|ium)\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ])
  const system = found([
    [/Android/, 'Android'],
    [/iPhone|iPad/, 'iOS'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'macOS'],
    [/Linux/, 'Linux'],
  ])
  return `${browser ?? 'A browser'}${system === undefined ? '' : ` on ${system}`}`
}
