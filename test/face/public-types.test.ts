// The shapes that applications compile against. `npm run types` is the test: a change of one of these breaks somebody's
// build.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Application } from 'express'
import { describe, expectTypeOf, it } from 'vitest'
import { type AccessToken, type Claims, createClaims } from '../../src/access-tokens/index.js'
import {
  type BackchannelLogout,
  type BackchannelLogoutOptions,
  boundedReads,
  createBackchannelLogout,
  type EndedSessions,
  type ErrorCode,
  expressSessions,
  type LoggedOut,
  type LogoutBrokerOptions,
  type LogoutError,
  type LogoutEvent,
  type LogoutResult,
  type LogoutStore,
  memoryStore,
  type NoVerdictError,
  type PresetName,
  type ProviderOptions,
  preset,
  type Revalidation,
  type RevalidationTokens,
  type RevocationOutcome,
  type StatelessSignOn,
  type TokensRevoked,
  type TokensToRevoke,
} from '../../src/index.js'
import { covers, type LogStore, type Mark, type SignOn } from '../../src/stores/index.js'
import { postgresStore } from '../../src/stores/postgres/index.js'
import { redisStore } from '../../src/stores/redis/index.js'

type Logout = BackchannelLogout<IncomingMessage>

describe('public types', () => {
  it('createBackchannelLogout', () => {
    expectTypeOf(createBackchannelLogout).parameter(0).toHaveProperty('provider')
    expectTypeOf<BackchannelLogoutOptions['store']>().toEqualTypeOf<LogoutStore | undefined>()
    expectTypeOf<{ provider: ProviderOptions }>().toExtend<BackchannelLogoutOptions>()
    expectTypeOf<Record<never, never>>().not.toExtend<BackchannelLogoutOptions>()
  })

  it('what a receiver offers', () => {
    expectTypeOf<Logout['bind']>().returns.resolves.toEqualTypeOf<{ readonly ended: boolean }>()
    expectTypeOf<Logout['unbind']>().returns.resolves.toEqualTypeOf<void>()
    expectTypeOf<Logout['terminate']>().returns.resolves.toEqualTypeOf<LogoutResult>()
    expectTypeOf<Logout['signOn']>().returns.resolves.toEqualTypeOf<StatelessSignOn | undefined>()
    expectTypeOf<Logout['isLive']>().returns.resolves.toEqualTypeOf<boolean>()
    expectTypeOf<Logout['fetch']>().toEqualTypeOf<(request: Request) => Promise<Response>>()
    expectTypeOf<ReturnType<Logout['receiver']>>().toBeCallableWith({} as IncomingMessage, {} as ServerResponse)
    expectTypeOf<Logout['listener']>().toBeCallableWith({} as Application, { path: '/backchannel-logout' })
    expectTypeOf(createServer).toBeCallableWith({} as ReturnType<Logout['listener']>)
    expectTypeOf<Logout['prepare']>().returns.resolves.toEqualTypeOf<void>()
    expectTypeOf<Logout['revokeTokens']>().parameter(0).toEqualTypeOf<TokensToRevoke>()
    expectTypeOf<Logout['revokeTokens']>().returns.resolves.toEqualTypeOf<TokensRevoked>()
    expectTypeOf<TokensRevoked['outcome']>().toEqualTypeOf<RevocationOutcome>()
    expectTypeOf<Logout['close']>().returns.toEqualTypeOf<void>()
  })

  it('who was logged out', () => {
    expectTypeOf<BackchannelLogoutOptions['onLogout']>().toEqualTypeOf<
      ((loggedOut: LoggedOut) => void | Promise<void>) | undefined
    >()
    expectTypeOf<keyof LoggedOut>().toEqualTypeOf<
      'issuer' | 'clientId' | 'sub' | 'sid' | 'sessionIds' | 'reason' | 'complete'
    >()
    expectTypeOf<LoggedOut['sub' | 'sid']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<LoggedOut['sessionIds']>().toEqualTypeOf<readonly string[]>()
  })

  it('what gives a handler is none itself', () => {
    const mount = (app: Application, logout: Logout) => {
      app.all('/backchannel-logout', logout.receiver())
      // @ts-expect-error: without its parentheses it would answer nothing
      app.all('/backchannel-logout', logout.receiver)
    }
    expectTypeOf(mount).returns.toBeVoid()
  })

  it('stores', () => {
    expectTypeOf(memoryStore).returns.toExtend<LogoutStore>()
    expectTypeOf(redisStore).returns.toExtend<LogStore>()
    expectTypeOf(postgresStore).returns.toExtend<LogStore>()
    expectTypeOf(boundedReads).returns.toExtend<LogStore>()
    expectTypeOf<LogStore>().toExtend<LogoutStore>()
    expectTypeOf(covers).parameter(0).toEqualTypeOf<Mark>()
    expectTypeOf(covers).parameter(1).toExtend<SignOn>()
    expectTypeOf(covers).returns.toEqualTypeOf<boolean>()
  })

  it('sessions', () => {
    expectTypeOf(expressSessions).parameter(0).toHaveProperty('destroy')
    expectTypeOf<StatelessSignOn>().toHaveProperty('issuer')
    expectTypeOf<StatelessSignOn['sid']>().toEqualTypeOf<string | undefined>()
  })

  it('events and errors', () => {
    expectTypeOf<Extract<LogoutEvent, { type: 'refused' }>['error']>().toEqualTypeOf<LogoutError>()
    expectTypeOf<Extract<LogoutEvent, { type: 'logout' }>['found']>().toEqualTypeOf<number>()
    expectTypeOf<LogoutError['code']>().toEqualTypeOf<ErrorCode>()
    expectTypeOf<'ERR_HOOK' | 'ERR_CONFIGURATION' | 'ERR_UNEXPECTED'>().toExtend<ErrorCode>()
    expectTypeOf<NoVerdictError>().toExtend<LogoutError>()
    expectTypeOf<NoVerdictError['status']>().toEqualTypeOf<503>()
  })

  it('presets', () => {
    expectTypeOf(preset).parameter(0).toEqualTypeOf<PresetName>()
    expectTypeOf({ ...preset('keycloak'), issuer: 'x', clientId: 'y' }).toExtend<ProviderOptions>()
  })

  it('revalidation', () => {
    expectTypeOf<Revalidation['move']>().toEqualTypeOf<(from: string, to: string) => Promise<void>>()
    expectTypeOf<Revalidation['begin']>().parameter(1).toEqualTypeOf<RevalidationTokens | undefined>()
    expectTypeOf<NonNullable<LogoutBrokerOptions['passOn']>>().toEqualTypeOf<(ended: EndedSessions) => boolean>()
  })

  it('claims, typed by enrich', () => {
    const introspection = { issuer: 'x', introspect: async () => ({ active: false }) }
    const make = () => createClaims({ introspection, enrich: () => ({ tenant: 'acme' }) })
    expectTypeOf(make).returns.toEqualTypeOf<Claims<{ tenant: string }>>()
    expectTypeOf<ReturnType<typeof make>['tokenOf']>().returns.toEqualTypeOf<
      AccessToken<{ tenant: string }> | undefined
    >()
  })
})
