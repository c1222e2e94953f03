// The networks that an IP address lies in, as far as one party tends to hold a whole one. Knows no request.

/**
 * From the widest to the narrowest: IPv4 /16, /24 and the address; IPv6 /32, /48 and /64, since whoever has one address
 * there has all of its /64. What is no address is a network of its own.
 */
export function networksOf(address: string): readonly string[] {
  const ipv4 = /^(?:::ffff:)?((\d+\.\d+)\.\d+)(\.\d+)$/i.exec(address)
  if (ipv4 !== null) return [`${ipv4[2]}`, `${ipv4[1]}`, `${ipv4[1]}${ipv4[3]}`]
  if (!address.includes(':')) return [address]
  const groups = groupsOf(address)
  return [2, 3, 4].map((count) => groups.slice(0, count).join(':'))
}

/** The eight groups of an IPv6 address (RFC 4291 2.2), without leading zeros. */
function groupsOf(address: string): readonly string[] {
  const [left = [], right = []] = address
    .split('::', 2)
    .map((half) => (half === '' ? [] : half.split(':').map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))))
  return [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
}
