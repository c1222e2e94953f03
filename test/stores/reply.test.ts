// A reply of another shape is no answer: each part of a good one, made wrong, throws.
import { describe, expect, it } from 'vitest'
import { Reply } from '../../src/stores/reply.js'

const MARK = ['sid', 'key', '', 10, 11, 99]
const BEGUN = { mark: MARK, ids: ['a'], tokens: ['t'], mismatched: 0, withoutSid: '2', finished: true, notDeleted: 0 }
const STATE = { ended: false, marks: [MARK], signon: ['sub', '', '', 5, 99, null, null, null] }

describe('a reply', () => {
  it('is read from JSON as from what a driver has parsed', () => {
    for (const given of [BEGUN, JSON.stringify(BEGUN)]) {
      expect(new Reply(given).begunLogout()).toEqual({
        replayed: false,
        mark: { scope: 'sid', key: 'key', issuedAt: 10, seenAt: 11, expiresAt: 99 },
        sessionIds: ['a'],
        tokenKeys: ['t'],
        mismatched: 0,
        withoutSid: 2,
        finished: true,
        notDeleted: 0,
        destroyed: false,
        more: false,
      })
    }
  })

  it('has what a binding leaves out as absent, never as zero', () => {
    expect(new Reply(STATE).boundState('id').binding).toEqual({
      sessionId: 'id',
      subKey: 'sub',
      sidKey: undefined,
      issuedAt: undefined,
      startedAt: undefined,
      boundAt: 5,
      expiresAt: 99,
    })
  })

  it('says where to go on', () => {
    const begun = new Reply({ ...BEGUN, next: [1, 'session'] }).begunLogout()
    expect(begun).toMatchObject({ more: true, cursor: expect.any(String) })
  })

  it.each([null, 7, '7', 'null'])('%j is none', (json) => expect(() => new Reply(json)).toThrow(/unexpected reply/))

  it.each<[string, object]>([
    ['no mark', { mark: undefined }],
    ['a mark of an unknown scope', { mark: ['all', ...MARK.slice(1)] }],
    ['a mark without its end', { mark: MARK.slice(0, 5) }],
    ['ids that are none', { ids: 'a' }],
    ['an id that is a number', { ids: [1] }],
    ['a number that is none', { mismatched: 'many' }],
    ['an empty number', { mismatched: '' }],
    ['a flag that is a number', { finished: 1 }],
    ['a next page without a place', { next: [1] }],
  ])('with %s throws', (_, change) => {
    expect(() => new Reply({ ...BEGUN, ...change }).begunLogout()).toThrow(/unexpected reply/)
  })

  it('without a binding throws where there must be one', () => {
    expect(new Reply({ ...STATE, signon: undefined }).state('id')).not.toHaveProperty('binding')
    expect(() => new Reply({ ...STATE, signon: undefined }).boundState('id')).toThrow(/unexpected reply/)
  })
})
