// In what two issuer identifiers differ that most likely mean the same OpenID Provider. Knows no configuration.

/** What differs most often, and each as if it were no difference. */
const DIFFERENCES: readonly (readonly [string, (issuer: string) => string])[] = [
  ['a slash at the end', (issuer) => (issuer.endsWith('/') ? issuer.slice(0, -1) : issuer)],
  ['letter case', (issuer) => issuer.toLowerCase()],
  ['http or https', (issuer) => issuer.replace(/^https?:/i, '')],
  [
    'localhost or 127.0.0.1',
    (issuer) => issuer.replace(/^((?:https?:)?\/\/)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/]|$)/i, '$1loopback'),
  ],
]

/** In words, for two that are alike; `undefined` where they are the same or mean different providers. */
export function issuerDifference(one: string, other: string): string | undefined {
  if (one === other || !isAlike(one, other, DIFFERENCES)) return undefined
  return DIFFERENCES.filter(
    (each) =>
      !isAlike(
        one,
        other,
        DIFFERENCES.filter((another) => another !== each),
      ),
  )
    .map(([name]) => name)
    .join(' and ')
}

function isAlike(one: string, other: string, apartFrom: typeof DIFFERENCES): boolean {
  const plain = (issuer: string) => apartFrom.reduce((text, [, undo]) => undo(text), issuer)
  return plain(one) === plain(other)
}
