// One rule for every URL that is called: https, or this machine, or what somebody said is dangerous.
import { describe, expect, it } from 'vitest'
import { safeUrl, safeUrlOf, safeUrlOption } from '../../src/http/safe-url.js'

const HTTP = ['http://op.internal/', 'http://127.0.0.1.example.com/', 'http://localhost.example.com/']

describe('safeUrl', () => {
  it.each([
    'https://op.example.com/a?b',
    'http://127.0.0.1:3000/',
    'http://127.9.9.9',
    'http://[::1]/',
    'http://localhost',
  ])('%s is taken as it stands', (url) => expect(safeUrl(url, false)).toBe(url))

  it.each(HTTP)('%s is taken if it is said to be dangerous, and not otherwise', (url) => {
    expect(safeUrl(url, true)).toBe(url)
    expect(() => safeUrl(url, false)).toThrow(/https/)
  })

  it.each([undefined, 7, '', '/path', 'op.example.com', ' https://op.example.com', 'https://op.example.com/\n'])(
    '%j is no absolute URL',
    (url) => expect(() => safeUrl(url, true)).toThrow(/absolute URL/),
  )

  it.each(['https://user@op.example.com', 'https://:secret@op.example.com', 'http://127.0.0.1@op.example.com'])(
    '%s holds who asks',
    (url) => expect(() => safeUrl(url, true)).toThrow(/user name or password/),
  )

  it.each(['ftp://op.example.com', 'file:///etc/passwd', 'data:text/plain,a', 'javascript:0'])(
    '%s is called by nobody',
    (url) => expect(() => safeUrl(url, true)).toThrow(/https/),
  )
})

describe('out of the metadata of an issuer', () => {
  it.each(['http://127.0.0.1:3000/', 'http://localhost/', 'http://[::1]/'])(
    '%s is for an issuer that is http',
    (url) => {
      expect(safeUrlOf('http://127.0.0.1:4000', url, false)).toBe(url)
      expect(safeUrlOf('https://op.example.com', url, true)).toBe(url)
      expect(() => safeUrlOf('https://op.example.com', url, false)).toThrow(/https/)
    },
  )

  it.each(['https://op.example.com/jwks', 'https://127.0.0.1/jwks'])('%s is taken as it stands', (url) =>
    expect(safeUrlOf('https://op.example.com', url, false)).toBe(url),
  )

  it.each(HTTP)('%s is not for an issuer that is http on loopback', (url) =>
    expect(() => safeUrlOf('http://127.0.0.1:4000', url, false)).toThrow(/https/),
  )
})

describe('of an option', () => {
  it('names it, and what would allow it where that was not said', () => {
    expect(() => safeUrlOption('endpoint', HTTP[0], false)).toThrow(/^endpoint: .*dangerouslyAllowHttp/)
    expect(() => safeUrlOption('endpoint', 'ftp://a', true)).toThrow(expect.not.stringContaining('dangerously'))
  })
})
