// What each project does with the package: every subpath is imported with its types, and a logout is a logout. Plain
// enough to be JavaScript once the types are gone, so that all projects share it.
import { createBackchannelLogout, LogoutError, type LogoutEvent, type StatelessSignOn } from 'oidc-backchannel-logout'
import { createClaims, type TokenClaims } from 'oidc-backchannel-logout/claims'
import { openTelemetry } from 'oidc-backchannel-logout/opentelemetry'
import { type PostgresPool, postgresStore } from 'oidc-backchannel-logout/postgres'
import { prometheusMetrics } from 'oidc-backchannel-logout/prometheus'
import { type RedisClient, redisStore } from 'oidc-backchannel-logout/redis'
import { covers, type Mark } from 'oidc-backchannel-logout/store'
import { createFakeOp, type FakeOp } from 'oidc-backchannel-logout/testing'

export interface Types {
  readonly mark: Mark
  readonly claims: TokenClaims
  readonly pool: PostgresPool
  readonly client: RedisClient
}

async function main(): Promise<void> {
  const op: FakeOp = await createFakeOp({ clientId: 'my-rp' })
  const seen: LogoutEvent['type'][] = []
  const provider = { issuer: op.issuer, clientId: 'my-rp' }
  // a machine that runs compilers beside it is slow
  const patient = { answerDeadlineSeconds: 60, stepTimeoutSeconds: 60 }
  const logout = createBackchannelLogout({ provider, onEvent: (event) => seen.push(event.type), ...patient })
  await logout.prepare()

  const signOn: StatelessSignOn | undefined = await logout.signOn(op.mint.idTokenClaims({ sub: 'ada', sid: 'laptop' }))
  if (signOn === undefined) throw new Error('the login was refused')
  const before = await logout.isLive(signOn)
  const body = new URLSearchParams({
    logout_token: await op.mint.logoutToken({ payload: { sub: 'ada', sid: 'laptop' } }),
  })
  const { status } = await logout.fetch(new Request('http://127.0.0.1/backchannel-logout', { method: 'POST', body }))
  const after = await logout.isLive(signOn)
  await op.close()

  const others = [covers, createClaims, openTelemetry, postgresStore, prometheusMetrics, redisStore]
  const factories = others.filter((each) => typeof each === 'function').length
  const isOurs = await logout
    .terminate({ ...provider, sub: '' })
    .catch((error) => error instanceof LogoutError || error instanceof TypeError)
  console.log(
    `live ${before}, logout ${status}, live ${after}; ${factories} subpaths; errors ${isOurs}; ${seen.includes('logout')}`,
  )
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
