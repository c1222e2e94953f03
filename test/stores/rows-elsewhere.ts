// One logout at a receiver whose logout store was told where rows of sessions are: what the OP heard, and what was said
// of it.
import type { Store } from 'express-session'
import { createBackchannelLogout, expressSessions, type LogoutEvent, type LogoutStore } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

/** `hasRow` looks where the session store keeps its rows. */
export async function loggedOut(store: LogoutStore, sessions: Store, hasRow: (id: string) => Promise<boolean>) {
  const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp', sub: 'alice', sid: 'S1' })
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout({
    provider: { issuer: mint.issuer, clientId: mint.clientId, jwks: mint.jwks },
    store,
    sessions: expressSessions(sessions),
    onEvent: (event) => void events.push(event),
  })
  try {
    const row = { cookie: { originalMaxAge: null }, user: 'alice' } as never
    await new Promise((resolve) => sessions.set('of alice', row, resolve))
    await logout.bind({ sessionId: 'of alice' }, mint.idTokenClaims())
    const before = await hasRow('of alice')
    const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    const said = events.flatMap((event) =>
      event.type === 'logout' ? [{ destroyed: event.destroyed, notDeleted: event.notDeleted }] : [],
    )
    return { rows: [before, await hasRow('of alice')], status, said }
  } finally {
    logout.close()
  }
}
