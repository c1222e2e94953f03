// How long somebody who is signed out, disabled or deleted at the OP may stay here: computed from the configuration, so
// that it can be read, printed and alarmed on. Asks nobody.
import type { Client } from '../marks/target.js'
import type { Provider } from '../providers/provider.js'

/** Of one provider. Seconds. */
export interface ProviderBounds extends Client {
  /**
   * A user of whom the provider tells nothing (disabled there, an administrator's "log out all", a lost Logout Token)
   * is out after so long, however much the session is used. `null`: no bound, while the session is used.
   */
  readonly withoutLogoutTokenSeconds: number | null
  /** What sets that bound. The claim `session_expiry`, where the provider sends it, shortens it for its login. */
  readonly setBy: 'sessionMaxAgeSeconds' | 'sessionLifetimeSeconds' | 'revalidation' | 'nothing'
  /** A session that nobody uses ends after so long. `null`: when its own store says so. */
  readonly unusedSeconds: number | null
}

/** Made by `logout.bounds()`. Seconds. */
export interface LogoutBounds {
  /**
   * After a logout was acknowledged, another node may answer as before for so long: 0, or the seconds of
   * `boundedReads`.
   */
  readonly afterLogoutSeconds: number
  /** The providers that are configured; empty where a function decides. */
  readonly providers: readonly ProviderBounds[]
}

/** What is in use beside the receiver, and sets bounds of its own. */
export interface BoundsOptions {
  /** What `createRevalidation` made: its bound holds as long as the provider answers. */
  readonly revalidation?: { readonly boundSeconds: number | null } | undefined
}

interface About extends BoundsOptions {
  /**
   * Sessions are in a store, where use prolongs them; else cookies carry them, and none outlives
   * `sessionLifetimeSeconds`.
   */
  readonly hasSessionStore: boolean
  readonly sessionLifetimeSeconds: number
  readonly store: object
}

export function boundsOf(providers: readonly Provider[], about: About): LogoutBounds {
  const staleSeconds: unknown = Reflect.get(about.store, 'staleSeconds')
  return {
    afterLogoutSeconds: typeof staleSeconds === 'number' ? staleSeconds : 0,
    providers: providers.map(({ client, sessionMaxAgeSeconds, sessionIdleSeconds }) => ({
      ...client,
      ...orRevalidated(withoutLogoutToken(sessionMaxAgeSeconds, about), about),
      unusedSeconds: sessionIdleSeconds ?? null,
    })),
  }
}

type Bound = Pick<ProviderBounds, 'withoutLogoutTokenSeconds' | 'setBy'>

function orRevalidated(bound: Bound, { revalidation }: About): Bound {
  const seconds = revalidation?.boundSeconds ?? Number.POSITIVE_INFINITY
  if (seconds >= (bound.withoutLogoutTokenSeconds ?? Number.POSITIVE_INFINITY)) return bound
  return { withoutLogoutTokenSeconds: seconds, setBy: 'revalidation' }
}

function withoutLogoutToken(
  maxAgeSeconds: number | undefined,
  { hasSessionStore, sessionLifetimeSeconds }: About,
): Bound {
  if (!hasSessionStore && sessionLifetimeSeconds < (maxAgeSeconds ?? Number.POSITIVE_INFINITY)) {
    return { withoutLogoutTokenSeconds: sessionLifetimeSeconds, setBy: 'sessionLifetimeSeconds' }
  }
  if (maxAgeSeconds === undefined) return { withoutLogoutTokenSeconds: null, setBy: 'nothing' }
  return { withoutLogoutTokenSeconds: maxAgeSeconds, setBy: 'sessionMaxAgeSeconds' }
}
