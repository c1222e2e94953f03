// One machine under two names. Browsers keep cookies by host name, so the demo under its other name meets another
// browser: nobody needs a private window.
import type { RequestHandler } from 'express'

const [FIRST, SECOND] = ['127.0.0.1', 'localhost'] as const

/** The address by the name that `like` has: a host name, or a URL. */
export function named(url: string, like: string): string {
  const isSecond = like === SECOND || (URL.canParse(like) && new URL(like).hostname === SECOND)
  return url.replace(/^http:\/\/(127\.0\.0\.1|localhost)(?=:)/, `http://${isSecond ? SECOND : FIRST}`)
}

/** The address by the other name. */
export function otherName(url: string): string {
  return named(url, new URL(url).hostname === SECOND ? FIRST : SECOND)
}

/** Whether a request came by the second name. */
export function bySecondName(host: string | undefined): boolean {
  return host?.split(':')[0] === SECOND
}

/**
 * Sends a browser that an application has sent to the OP on to the OP under the name by which the application knows
 * it: the OP has one issuer, and the browser two names for it.
 */
export const keepName: RequestHandler = (req, res, next) => {
  const { redirect_uri, post_logout_redirect_uri } = req.query
  const back = redirect_uri ?? post_logout_redirect_uri
  const comesBackTo = typeof back === 'string' && URL.canParse(back) ? new URL(back).hostname : req.hostname
  if (req.method !== 'GET' || comesBackTo !== SECOND || req.hostname === SECOND) return next()
  res.redirect(303, `${named(`http://${req.headers.host}`, SECOND)}${req.originalUrl}`)
}
