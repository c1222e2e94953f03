// What every callback of the documentation has, since callbacks are what people copy.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const pages = [
  'README.md',
  ...readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !file.startsWith('api'))
    .map((file) => path.join('docs', file)),
]

/** Each handler of express-session's requests that binds a login, from its route on. */
const callbacks = pages.flatMap((page) =>
  readFileSync(path.join(ROOT, page), 'utf8')
    .split(/^(?=\s*(?:app|router|broker)\.(?:get|post|all|use)\(|\s*@(?:Get|Post)\()/m)
    .filter(
      (handler) =>
        /logout\.bind\(req\b/.test(handler) && /(?:get|post)\('(?:\/callback|\/saml\/acs|callback)/i.test(handler),
    )
    .map((handler) => ({ page, handler })),
)

it('there are some to look at', () => {
  expect(callbacks.length).toBeGreaterThan(8)
})

it.each(callbacks)('$page: the session id changes before the login is bound (session fixation)', ({ handler }) => {
  // Passport regenerates the session before the handler behind it is called.
  if (/passport\.authenticate/.test(handler)) return
  expect(handler).toMatch(/\.regenerate\([\s\S]*logout\.bind\(req/)
})

it.each(callbacks)('$page: a browser without its cookie is told so, and not sent in a circle', ({ handler }) => {
  expect(handler).not.toMatch(/if \(!(?:checks|login)\) return [^\n]*\/login'/)
})
