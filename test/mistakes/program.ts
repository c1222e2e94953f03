// The application as a process of its own, for mistakes that end one or need two: what it prints is what its owner
// reads.

import { createRequire } from 'node:module'
import type express from 'express'
import type session from 'express-session'
import { type Mistaken, startApplication } from './application.js'

export interface ProgramSettings {
  readonly issuer: string
  readonly mistake: 'bind is not awaited' | 'Express 4 and a bind that rejects' | 'memoryStore() beside Redis'
  readonly redisUrl?: string
}

const express4: typeof express = createRequire(import.meta.url)('express4')
const { issuer, mistake, redisUrl }: ProgramSettings = JSON.parse(process.env.MISTAKE ?? '{}')

/** Those of UserInfo, which name no issuer: `bind` rejects. */
const userInfo = ({ sub }: Readonly<Record<string, unknown>>) => ({ sub })

async function mistaken(): Promise<Mistaken> {
  switch (mistake) {
    case 'bind is not awaited':
      // As services do that would rather log than end.
      process.on('unhandledRejection', (reason) => console.error('unhandled', reason))
      return { bind: async (logout, req, claims) => void logout.bind(req, userInfo(claims)) }
    case 'Express 4 and a bind that rejects':
      return { express: express4, bind: (logout, req, claims) => logout.bind(req, userInfo(claims)) }
    case 'memoryStore() beside Redis': {
      const { createClient } = await import('redis')
      const { RedisStore } = await import('connect-redis')
      const client = createClient({ url: redisUrl ?? '' })
      await client.connect()
      return { sessionStore: new RedisStore({ client }) as session.Store }
    }
  }
}

process.on('disconnect', () => process.exit(0))
const { url } = await startApplication(issuer, await mistaken())
process.send?.(url)
