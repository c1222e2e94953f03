// An API whose cache may be told to evict, for tests of both ends of that.

import express from 'express'
import { expect } from 'vitest'
import { createClaims, type EvictionEndpointOptions } from '../../src/access-tokens/index.js'
import { active, handClock, promptServer } from './hand-run.js'

export const CLIENTS = { rp: 'correct horse: battery/staple é', other: 'x' }

export function basic(id: string, secret: string) {
  const encode = (value: string) => new URLSearchParams({ v: value }).toString().slice(2)
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}

export const authorization = basic('rp', CLIENTS.rp)

export async function api(
  options: EvictionEndpointOptions = { clients: CLIENTS },
  parse = false,
  store?: Parameters<typeof createClaims>[0]['store'],
) {
  const claims = createClaims({
    introspection: promptServer(() => active()).introspection,
    clock: handClock(),
    ...(store && { store }),
  })
  const app = express()
  if (parse) app.use(express.urlencoded({ extended: true }))
  app.all('/evict', claims.evictionEndpoint(options))
  const isAlive = async (token = 'token') => (await claims.lookup(token)).active
  expect(await isAlive()).toBe(true)
  return { app, isAlive, claims }
}
