// Which addresses are public, and that a name is refused by what it leads to when the connection is made.
import type { LookupAddress, lookup } from 'node:dns'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPublicAddress, PrivateAddressError, publicLookup } from '../../src/http/public-address.js'

describe('an address', () => {
  it.each(['8.8.8.8', '1.1.1.1', '172.15.255.255', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  it.each([
    ...['127.0.0.1', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', '169.254.169.254', '100.64.0.1'],
    ...[
      '0.0.0.0',
      '192.0.0.1',
      '192.0.2.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    ...[
      '::',
      '::1',
      '::ffff:8.8.8.8',
      '::ffff:127.0.0.1',
      'fc00::1',
      'fe80::1',
      'fe80::1%lo',
      'ff02::1',
      '2001:db8::1',
    ],
    ...['64:ff9b::808:808', '2002:7f00:1::', '2001::1', '3fff::1', '100::1', 'example.com', ''],
  ])('%s is not', (address) => expect(isPublicAddress(address)).toBe(false))

  it('mapped from IPv4 into IPv6 is never public, so that no spelling leads in', () => {
    fc.assert(fc.property(fc.ipV4(), (address) => !isPublicAddress(`::ffff:${address}`)))
  })
})

describe('a name', () => {
  const found = (addresses: readonly LookupAddress[], all: boolean) =>
    new Promise((resolve, reject) => {
      const answer = (
        _name: string,
        options: unknown,
        callback: (error: null, found: readonly LookupAddress[]) => void,
      ) => {
        expect(options).toMatchObject({ all: true, family: 4 })
        callback(null, addresses)
      }
      publicLookup(answer as unknown as typeof lookup)(
        'rp.example.com',
        { all, family: 4 },
        (error, address, family) => (error ? reject(error) : resolve(all ? address : [address, family])),
      )
    })
  const good = { address: '8.8.8.8', family: 4 }
  const bad = { address: '10.0.0.1', family: 4 }

  it('leads to the addresses that were looked at, in either form of the answer', async () => {
    expect(await found([good], true)).toEqual([good])
    expect(await found([good], false)).toEqual(['8.8.8.8', 4])
  })

  it.each([[[bad]], [[good, bad]], [[]]])('with %j leads nowhere', async (addresses) => {
    for (const all of [true, false]) await expect(found(addresses, all)).rejects.toThrow(PrivateAddressError)
  })
})
