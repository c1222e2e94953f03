// Key pairs that every version of Node can export, however its garbage is collected.
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ecKeyPair, edKeyPair, rsaKeyPair, rsaKeyPairInThread } from '../../src/testing/key-pair.js'

describe('a key pair', () => {
  it.each([
    ['rsa', rsaKeyPair, { asymmetricKeyType: 'rsa', asymmetricKeyDetails: { modulusLength: 2048 } }],
    ['rsa of few bits', () => rsaKeyPair(1024), { asymmetricKeyDetails: { modulusLength: 1024 } }],
    ['rsa, made in a thread', rsaKeyPairInThread, { asymmetricKeyType: 'rsa' }],
    ['ec', ecKeyPair, { asymmetricKeyDetails: { namedCurve: 'prime256v1' } }],
    ['ed25519', edKeyPair, { asymmetricKeyType: 'ed25519' }],
  ])('of its kind: %s', async (_name, make, expected) => {
    const { privateKey, publicKey } = await make()
    expect(privateKey).toMatchObject({ type: 'private', ...expected })
    expect(publicKey.export({ format: 'jwk' })).not.toHaveProperty('d')
  })

  it('is exported thousands of times while garbage is collected, and the process goes on', async () => {
    const source = path.resolve(import.meta.dirname, '../../src/testing/key-pair.ts')
    const program = `
      const { ecKeyPair } = await import(${JSON.stringify(source)})
      for (let pair = 0; pair < 300; pair++) {
        const { privateKey } = ecKeyPair()
        for (let i = 0; i < 100; i++) privateKey.export({ format: 'jwk' })
      }
      console.log('went on')`
    const args = ['--import', 'tsx', '--max-semi-space-size=1', '--input-type=module', '--eval', program]
    // Where it stands still, nothing but a signal ends it.
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000, killSignal: 'SIGKILL' })
    expect(stdout).toBe('went on\n')
  })
})
