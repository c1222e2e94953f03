// What is kept of a foreign error: its name, its code and a status, and none of its words.
import { describe, expect, it } from 'vitest'
import { outline, statusOf } from '../../src/http/outline.js'

class ResponseBodyError extends Error {}

describe('outline', () => {
  it('keeps name, code and status, and nothing that could hold a token', () => {
    const cause = Object.assign(new Error('Bearer secret-token'), { code: 'ECONNREFUSED' })
    const kept = outline(Object.assign(new ResponseBodyError('secret-token', { cause }), { status: 502 }))
    expect(kept.message).toBe('ResponseBodyError ECONNREFUSED 502')
    expect(kept.cause).toBeUndefined()
    expect(kept.stack).not.toContain('secret-token')
  })

  it('of what is no error keeps its type', () => {
    expect(outline('secret-token').message).toBe('string')
  })

  it('finds the status of an answer that is the cause', () => {
    expect(statusOf(new Error('', { cause: new Response(null, { status: 503 }) }))).toBe(503)
    expect(statusOf(new Error('', { cause: new Error('503') }))).toBeUndefined()
  })
})
