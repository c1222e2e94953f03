// The logout request (BCL 2.5), over real sockets: under Express 4 and 5, behind each body parser that a host
// application may have mounted, and as a Web Request. What is refused ends nothing and never reaches Express's error
// handler.
import { type IncomingMessage, request } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { RequestHandler } from 'express'
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import {
  ALL_BUT_ALICES_LAPTOP,
  type Answer,
  EVERYBODY,
  EXPRESS,
  type ExpressVersion,
  expectLoggedOut,
  expectNothingDied,
  expectRefusal,
  PARSERS,
  type Rp,
  withRp,
} from './rp.js'

const FORM = 'application/x-www-form-urlencoded'
const VERSIONS = Object.keys(EXPRESS).filter((name): name is ExpressVersion => name in EXPRESS)

interface RawRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly chunks?: readonly (string | Uint8Array)[]
  /** Default: true. False leaves the body open. */
  readonly end?: boolean
}

/** Below fetch, which would refuse to send what is to be refused. */
function send(
  rp: Rp,
  { method = 'POST', path = '', headers = {}, chunks = [], end = true }: RawRequest,
): Promise<Answer> {
  // Node adds a length or chunks to some methods only.
  const length = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))).length
  const framing = end && !('transfer-encoding' in headers) ? { 'content-length': String(length) } : {}
  return new Promise((resolve, reject) => {
    const req = request(`${rp.logoutUrl}${path}`, {
      method,
      headers: { 'content-type': FORM, ...framing, ...headers },
      agent: false,
    })
    req.on('response', async (res) => {
      resolve(await answerOf(res))
      req.destroy()
    })
    req.on('error', reject)
    for (const chunk of chunks) req.write(chunk)
    if (end) req.end()
  })
}

async function answerOf(res: IncomingMessage): Promise<Answer> {
  let text = ''
  for await (const chunk of res) text += chunk
  const headers = new Headers()
  for (const [name, value] of Object.entries(res.headers)) if (value !== undefined) headers.set(name, String(value))
  return { status: res.statusCode ?? 0, headers, text }
}

const reasons = (rp: Rp) => rp.eventsOf('refused').map(({ error }) => [error.code, error.reason])

interface FormCase {
  readonly name: string
  /** The request body with this valid token in it, somehow. */
  readonly body: (token: string) => string
}

const REFUSED_FORMS: readonly FormCase[] = [
  { name: 'no body', body: () => '' },
  { name: 'no logout_token', body: (token) => `token=${token}` },
  { name: 'a name in another case', body: (token) => `Logout_Token=${token}` },
  { name: 'the name of an old release of WSO2', body: (token) => `logoutToken=${token}` },
  { name: 'an empty logout_token', body: () => 'logout_token=' },
  { name: 'a logout_token without a value', body: () => 'logout_token' },
  { name: 'the token twice', body: (token) => `logout_token=${token}&logout_token=${token}` },
  { name: 'a good token and a bad one', body: (token) => `logout_token=${token}&logout_token=x` },
  { name: 'a bad token and a good one', body: (token) => `logout_token=x&logout_token=${token}` },
  { name: 'an empty token and a good one', body: (token) => `logout_token=&logout_token=${token}` },
  { name: 'an array of one', body: (token) => `logout_token[]=${token}` },
  { name: 'an indexed array of one', body: (token) => `logout_token[0]=${token}` },
  { name: 'an object', body: (token) => `logout_token[toString]=${token}` },
  { name: 'a member of a prototype', body: (token) => `__proto__[logout_token]=${token}` },
  { name: 'JSON under the media type of a form', body: (token) => JSON.stringify({ logout_token: token }) },
  { name: 'a token with a blank in front', body: (token) => `logout_token=+${token}` },
  { name: 'a token with a line break behind', body: (token) => `logout_token=${token}%0A` },
]

const TAKEN_FORMS: readonly FormCase[] = [
  { name: 'the token alone', body: (token) => `logout_token=${token}` },
  { name: 'a token with escaped dots', body: (token) => `logout_token=${token.replaceAll('.', '%2E')}` },
  { name: 'further parameters around it', body: (token) => `a=1&logout_token=${token}&b[]=2&b[]=3&c` },
]

const GRID = VERSIONS.flatMap((version) =>
  Object.entries(PARSERS).map(([parser, inFront]) => ({ version, parser, inFront })),
)

describe.each(GRID)('$version behind $parser', ({ version, inFront }) => {
  const options = { express: version, inFront }

  it.each(TAKEN_FORMS)('takes $name', ({ body }) =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.post(body(await rp.mint.logoutToken())))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }),
  )

  it('refuses every other form, and one valid request after them all still works', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      for (const { name, body } of REFUSED_FORMS) {
        const answer = await rp.post(body(await rp.mint.logoutToken()))
        expect({ name, status: answer.status }).toEqual({ name, status: 400 })
        expectRefusal(answer, 400, 'invalid_request')
        expect({ name, alive: await rp.alive() }).toEqual({ name, alive: EVERYBODY })
      }
      expect(rp.eventsOf('refused')).toHaveLength(REFUSED_FORMS.length)
      await expectNothingDied(rp)
    }))

  it('refuses every other media type, and nothing of it reaches the error handler', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const json = JSON.stringify({ logout_token: token })
      const multipart = `--b\r\ncontent-disposition: form-data; name="logout_token"\r\n\r\n${token}\r\n--b--\r\n`
      const others: readonly (readonly [string, string])[] = [
        ['application/json', json],
        ['application/json; charset=utf-8', json],
        ['multipart/form-data; boundary=b', multipart],
        ['text/plain', `logout_token=${token}`],
        ['application/jwt', token],
        ['application/secevent+jwt', token],
        ['application/x-www-form-urlencoded-not', `logout_token=${token}`],
        ['', `logout_token=${token}`],
      ]
      for (const [type, body] of others) {
        const answer = await send(rp, { headers: { 'content-type': type }, chunks: [body] })
        expect({ type, status: answer.status }).toEqual({ type, status: 400 })
        expectRefusal(answer, 400, 'invalid_request')
      }
      expect(reasons(rp)).toEqual(others.map(() => ['ERR_REQUEST', 'content_type']))
      await expectNothingDied(rp)
    }))

  it.each([`${FORM}; charset=UTF-8`, `${FORM};charset="utf-8"`, 'Application/X-WWW-Form-URLEncoded', `${FORM} ; a=b`])(
    'takes the media type %j',
    (type) =>
      withRp(options, async (rp) => {
        await rp.signInEverybody()
        expectLoggedOut(await rp.post({ logout_token: await rp.mint.logoutToken() }, { 'content-type': type }))
        expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      }),
  )

  it('does not look for the token in the query, and keeps a query that was registered', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      expectRefusal(await send(rp, { path: `?logout_token=${token}` }), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(EVERYBODY)
      expectLoggedOut(await send(rp, { path: '?tenant=a&logout_token=x', chunks: [`logout_token=${token}`] }))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('answers %s with 405 and Allow: POST', (method) =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const answer = await send(rp, {
        method,
        path: `?logout_token=${token}`,
        chunks: method === 'GET' || method === 'HEAD' ? [] : [`logout_token=${token}`],
      })
      expect(answer.status).toBe(405)
      expect(answer.headers.get('allow')).toBe('POST')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      await expectNothingDied(rp)
    }),
  )

  it('sets no cookie behind session(), and needs none', () => {
    const withSession = session({ secret: 's', resave: false, saveUninitialized: false })
    const misplaced: RequestHandler = (req, res, next) => {
      if (req.path === '/backchannel-logout') withSession(req, res, next)
      else next()
    }
    return withRp({ ...options, inFront: [...inFront, misplaced] }, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.deliverChanged({}))
      expectRefusal(await rp.deliverChanged({ payload: { nonce: '' } }), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })
})

describe.each(VERSIONS)('%s, bodies out of the ordinary', (version) => {
  const options = { express: version }

  it('takes a charset that parsers do not know', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(
        await rp.post({ logout_token: await rp.mint.logoutToken() }, { 'content-type': `${FORM}; charset=iso-8859-1` }),
      )
    }))

  it('takes a body in single bytes', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const chunks = [...`logout_token=${await rp.mint.logoutToken()}`]
      expectLoggedOut(await send(rp, { headers: { 'transfer-encoding': 'chunked' }, chunks }))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it('takes a body exactly as large as the limit, and refuses one byte more', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const padded = (token: string, bytes: number) => {
        const body = `logout_token=${token}&padding=`
        return body.padEnd(bytes, 'x')
      }
      expectRefusal(await rp.post(padded(await rp.mint.logoutToken(), 65_537)), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(EVERYBODY)
      expectLoggedOut(await rp.post(padded(await rp.mint.logoutToken(), 65_536)))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_too_large']])
    }))

  it('refuses an oversized body by its declared length, without waiting for it', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const declared = { 'content-length': '1000000000' }
      const answer = await send(rp, { headers: declared, chunks: ['logout_token='], end: false })
      expectRefusal(answer, 400, 'invalid_request')
      expect(answer.headers.get('connection')).toBe('close')
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_too_large']])
      await expectNothingDied(rp)
    }))

  it('refuses an oversized body in chunks, without reading on', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const chunks = Array.from({ length: 66 }, () => 'x'.repeat(1000))
      const answer = await send(rp, { headers: { 'transfer-encoding': 'chunked' }, chunks, end: false })
      expectRefusal(answer, 400, 'invalid_request')
      expect(answer.headers.get('connection')).toBe('close')
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_too_large']])
      await expectNothingDied(rp)
    }))

  it('refuses a body that does not come to an end in time', () =>
    withRp({ ...options, receiver: { answerDeadlineSeconds: 0.05 } }, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const answer = await send(rp, {
        headers: { 'transfer-encoding': 'chunked' },
        chunks: [`logout_token=${token}`],
        end: false,
      })
      expectRefusal(answer, 400, 'invalid_request')
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_late']])
      expect(await rp.alive()).toEqual(EVERYBODY)
    }))

  it('does nothing when the sender goes away in the middle, and lives on', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const refused = eventOf(rp, 'refused')
      const req = request(rp.logoutUrl, { method: 'POST', headers: { 'content-type': FORM, 'content-length': '5000' } })
      req.on('error', () => {})
      req.write(`logout_token=${token}`, () => setImmediate(() => req.destroy()))
      await refused
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_aborted']])
      await expectNothingDied(rp)
    }))

  it('refuses a compressed body, unless the host application has unpacked it', async () => {
    const gzip = async (rp: Rp) =>
      send(rp, {
        headers: { 'content-encoding': 'gzip' },
        chunks: [gzipSync(`logout_token=${await rp.mint.logoutToken()}`)],
      })
    await withRp(options, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await gzip(rp), 400, 'invalid_request')
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'content_encoding']])
      await expectNothingDied(rp)
    })
    await withRp({ ...options, inFront: PARSERS['express.urlencoded extended'] }, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await gzip(rp))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })

  it('takes content-encoding identity', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.post({ logout_token: await rp.mint.logoutToken() }, { 'content-encoding': 'identity' }))
    }))

  it('refuses a token beyond any size that a parser in front let through', () =>
    withRp({ ...options, inFront: PARSERS['express.urlencoded simple'] }, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await rp.post({ logout_token: `a.${'b'.repeat(90_000)}.c` }), 400, 'invalid_request')
      await expectNothingDied(rp)
    }))

  it('refuses a body that something in front has read and thrown away', () => {
    const greedy: RequestHandler = (req, _res, next) => {
      if (req.path !== '/backchannel-logout') return next()
      req.on('end', () => next()).resume()
    }
    return withRp({ ...options, inFront: [greedy] }, async (rp) => {
      await rp.signInEverybody()
      expectRefusal(await rp.deliverChanged({}), 400, 'invalid_request')
      expect(reasons(rp)).toEqual([['ERR_REQUEST', 'body_consumed']])
      expect(await rp.alive()).toEqual(EVERYBODY)
      expect(rp.expressErrors).toEqual([])
    })
  })

  it('answers each request once, and reports each answer', () =>
    withRp(options, async (rp) => {
      await rp.signInEverybody()
      await rp.deliverChanged({})
      await rp.deliverChanged({ payload: { nonce: '' } })
      await send(rp, { method: 'GET' })
      expect(rp.eventsOf('answer').map(({ status }) => status)).toEqual([200, 400, 405])
    }))
})

describe('as a Web Request', () => {
  const url = 'https://rp.example.com/backchannel-logout'
  const answered = async (response: Response): Promise<Answer> => ({
    status: response.status,
    headers: response.headers,
    text: await response.text(),
  })
  const form = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    new Request(url, { method: 'POST', headers: { 'content-type': FORM, ...headers }, body })

  it('takes the token alone', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const body = new URLSearchParams({ logout_token: await rp.mint.logoutToken() })
      expectLoggedOut(await answered(await rp.logout.fetch(new Request(url, { method: 'POST', body }))))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it('refuses every other form', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      for (const { body } of REFUSED_FORMS) {
        const answer = await answered(await rp.logout.fetch(form(body(await rp.mint.logoutToken()))))
        expectRefusal(answer, 400, 'invalid_request')
      }
      await expectNothingDied(rp)
    }))

  it('refuses multipart, JSON, a compressed, an oversized and a consumed body', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const multipart = new FormData()
      multipart.set('logout_token', token)
      const consumed = form(`logout_token=${token}`)
      await consumed.text()
      const requests = [
        new Request(url, { method: 'POST', body: multipart }),
        form(JSON.stringify({ logout_token: token }), { 'content-type': 'application/json' }),
        form(gzipSync(`logout_token=${token}`), { 'content-encoding': 'gzip' }),
        form(`logout_token=${token}&x=${'x'.repeat(65_536)}`),
        consumed,
      ]
      for (const each of requests) expectRefusal(await answered(await rp.logout.fetch(each)), 400, 'invalid_request')
      expect(reasons(rp).map(([, reason]) => reason)).toEqual([
        'content_type',
        'content_type',
        'content_encoding',
        'body_too_large',
        'body_consumed',
      ])
      await expectNothingDied(rp)
    }))

  it('refuses a body that does not come to an end in time, or breaks', () =>
    withRp({ receiver: { answerDeadlineSeconds: 0.05 } }, async (rp) => {
      await rp.signInEverybody()
      const streaming = (start: (controller: ReadableStreamDefaultController) => void) =>
        new Request(url, {
          method: 'POST',
          headers: { 'content-type': FORM },
          body: new ReadableStream({ start }),
          duplex: 'half',
        })
      const endless = streaming((controller) => controller.enqueue(Buffer.from('logout_token=')))
      const broken = streaming((controller) => controller.error(new Error('gone')))
      expectRefusal(await answered(await rp.logout.fetch(endless)), 400, 'invalid_request')
      expectRefusal(await answered(await rp.logout.fetch(broken)), 400, 'invalid_request')
      expect(reasons(rp).map(([, reason]) => reason)).toEqual(['body_late', 'body_aborted'])
      expect(await rp.alive()).toEqual(EVERYBODY)
    }))

  it('answers other methods with 405 and Allow: POST', () =>
    withRp({}, async (rp) => {
      const response = await rp.logout.fetch(new Request(url))
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('POST')
      expect(response.headers.get('cache-control')).toBe('no-store')
    }))
})

/** Resolves when the receiver has reported an event of this type; the test's own time limit bounds it. */
async function eventOf(rp: Rp, type: Parameters<Rp['eventsOf']>[0]): Promise<void> {
  while (rp.eventsOf(type).length === 0) await new Promise(setImmediate)
}
