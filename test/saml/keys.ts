// Key pairs with certificates, as SAML metadata have them: made by openssl, once for each name and process.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface Keys {
  /** PEM. */
  readonly key: string
  readonly cert: string
}

const made = new Map<string, Keys>()

export function keysOf(name: string): Keys {
  const known = made.get(name)
  if (known !== undefined) return known
  const folder = mkdtempSync(path.join(tmpdir(), 'saml-keys-'))
  try {
    const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')]
    const what = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', `/CN=${name}`]
    execFileSync('openssl', [...what, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const keys = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
    made.set(name, keys)
    return keys
  } finally {
    rmSync(folder, { recursive: true })
  }
}
