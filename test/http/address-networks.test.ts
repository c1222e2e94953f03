import { describe, expect, it } from 'vitest'
import { networksOf } from '../../src/http/address-networks.js'

describe('the networks of an address', () => {
  it.each([
    ['192.0.2.7', ['192.0', '192.0.2', '192.0.2.7']],
    ['::ffff:192.0.2.7', ['192.0', '192.0.2', '192.0.2.7']],
    ['2001:db8:0:1:2:3:4:5', ['2001:db8', '2001:db8:0', '2001:db8:0:1']],
    ['2001:0DB8::0001', ['2001:db8', '2001:db8:0', '2001:db8:0:0']],
    ['fe80::1%eth0', ['fe80:0', 'fe80:0:0', 'fe80:0:0:0']],
    ['::1', ['0:0', '0:0:0', '0:0:0:0']],
    ['', ['']],
  ])('%s', (address, networks) => {
    expect(networksOf(address)).toEqual(networks)
  })
})
