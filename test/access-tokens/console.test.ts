// What an API is told where nobody listens: its mistakes leave users in, as those of a receiver do.
import { expect, it, vi } from 'vitest'
import { createClaims, createJwtCheck } from '../../src/access-tokens/index.js'
import { memoryStore } from '../../src/index.js'

const issuer = 'https://op.example.com'
const now = Math.floor(Date.now() / 1000)
const claims = { iss: issuer, sub: 'alice', sid: 'S1', iat: now, exp: now + 600 }

it('a token that no logout reaches is printed once, with what to do, by each of both checks', async () => {
  const printed = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const codes = () => printed.mock.calls.map(([, about]) => Object(about).code)
  try {
    const check = createJwtCheck({ store: memoryStore(), issuer })
    for (let i = 0; i < 3; i++) await check.isRevoked(claims)
    expect(codes()).toEqual(['BCL_CLIENT_ID_MISSING'])
    const introspect = async () => ({ ...claims, active: true })
    const cached = createClaims({ store: memoryStore(), introspection: { issuer, introspect } })
    await cached.lookup('a token')
    expect(codes()).toEqual(['BCL_CLIENT_ID_MISSING', 'BCL_CLIENT_ID_MISSING'])
  } finally {
    printed.mockRestore()
  }
})

it('nothing is printed where the application listens', async () => {
  const printed = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  try {
    const onEvent = vi.fn()
    await createJwtCheck({ store: memoryStore(), issuer, onEvent }).isRevoked(claims)
    expect(onEvent).toHaveBeenCalled()
    expect(printed).not.toHaveBeenCalled()
  } finally {
    printed.mockRestore()
  }
})
