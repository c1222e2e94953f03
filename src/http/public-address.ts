// Which network addresses belong to the public Internet, and a look-up that finds no others. Knows no request.
import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** A name or address leads to this machine, into a private network or to nowhere. */
export class PrivateAddressError extends Error {
  constructor() {
    super('The address is not one of the public Internet')
  }
}

/** The special-purpose registries of IANA (RFC 6890), and multicast. */
const SPECIAL_IPV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
]
/** Within global unicast: what is reserved, documentation, and what has an IPv4 address inside. */
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

const special = new BlockList()
const globalUnicast = new BlockList()
for (const net of SPECIAL_IPV4) addSubnet(special, net, 'ipv4')
for (const net of SPECIAL_IPV6) addSubnet(special, net, 'ipv6')
// Nothing else of IPv6 is handed out: loopback, mapped IPv4, translation, unique local and link local are all outside
// of it.
addSubnet(globalUnicast, '2000::/3', 'ipv6')

function addSubnet(list: BlockList, net: string, family: 'ipv4' | 'ipv6'): void {
  const [address = '', bits] = net.split('/')
  list.addSubnet(address, Number(bits), family)
}

/** Whether this is a numeric address that anybody on the Internet may have. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !special.check(address, 'ipv4')
  return family === 6 && globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

/** Whether a host of a URL is a numeric address that is not public. Names are looked up when the connection is made. */
export function isPrivateLiteral(hostname: string): boolean {
  const address = hostname.replace(/^\[|\]$/g, '')
  return isIP(address) !== 0 && !isPublicAddress(address)
}

/**
 * For the option `lookup` of a connection: what it is handed is what it connects to, so that no second answer of the
 * name server comes in between. A name with one address that is not public is refused whole. `lookup`: who knows the
 * addresses.
 */
export function publicLookup(lookup: typeof systemLookup = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const [first] = error === null ? found : []
      if (error !== null) callback(error, '')
      else if (first === undefined || !found.every(({ address }) => isPublicAddress(address)))
        callback(new PrivateAddressError(), '')
      else if (options.all === true) callback(null, [...found])
      else callback(null, first.address, first.family)
    })
  }
}
