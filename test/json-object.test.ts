import { describe, expect, it } from 'vitest'
import { jsonObjectIn, own } from '../src/json-object.js'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('jsonObjectIn', () => {
  it('reads an object', () => {
    expect(jsonObjectIn(bytes('{"sub":"é"}'))).toEqual({ sub: 'é' })
  })

  it.each([
    ['nothing', ''],
    ['an array', '[]'],
    ['null', 'null'],
    ['a string', '"{}"'],
    ['a number', '1'],
    ['text after the object', '{} {}'],
    ['a comment', '{/**/}'],
    ['a byte order mark', '\uFEFF{}'],
  ])('refuses %s', (_, text) => {
    expect(jsonObjectIn(bytes(text))).toBeUndefined()
  })

  it('refuses invalid UTF-8 rather than replacing it', () => {
    expect(jsonObjectIn(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toBeUndefined()
  })

  it('takes the last of duplicate member names', () => {
    expect(jsonObjectIn(bytes('{"sub":"first","sub":"last"}'))).toEqual({ sub: 'last' })
  })
})

describe('own', () => {
  it('does not see what a prototype has', () => {
    const claims = jsonObjectIn(bytes('{"__proto__":{"nonce":"n"}}')) ?? {}
    expect(own(claims, 'nonce')).toBeUndefined()
    expect(own(claims, 'toString')).toBeUndefined()
    expect(own(claims, '__proto__')).toEqual({ nonce: 'n' })
  })
})
