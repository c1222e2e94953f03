// What the scenarios ask of every OpenID Provider, and what each is known to do: both are asserted.
import type { PresetName, ProviderOptions } from 'oidc-backchannel-logout'
import type { LiveBrowser, Page } from './live-browser.js'
import type { Credentials, LiveRp } from './live-rp.js'

/** Two RPs of which every user session is a part, and one that is registered for Logout Tokens without `sid`. */
export interface LiveRps {
  readonly a: LiveRp
  readonly b: LiveRp
  readonly withoutSid: LiveRp | undefined
}

export type RpName = keyof LiveRps

/** Everybody who can sign in. */
export type User = 'alice' | 'bob'

/** What an act, of the user or an administrator, is done to. */
export interface Scene {
  readonly rps: LiveRps
  readonly user: User
  /** In which the user is signed in at `a` and `b`. */
  readonly browser: LiveBrowser
  /** Of the ID Token that `b` got. */
  readonly sid: string
}

/** Which sessions at `b` are over afterwards: those of this browser, those of this user in every browser, or none. */
export type Ends = 'session' | 'user' | 'nothing'

export interface RunningProvider {
  readonly issuer: string
  readonly credentials: Readonly<Partial<Record<RpName, Credentials>>>
  /** A browser of that user, who is signed in nowhere. */
  browser(user: User): LiveBrowser
  /** Signs in at the RP; a provider that knows this browser asks nothing. */
  signIn(browser: LiveBrowser, rp: LiveRp, user: User): Promise<Page>
  /** The user logs out at the RP and says yes to whatever the provider asks. */
  logOut(browser: LiveBrowser, rp: LiveRp, user: User): Promise<unknown>
  /** How each act of `LiveProvider.acts` is done. */
  readonly acts: Readonly<Record<string, (scene: Scene) => Promise<unknown>>>
  /** A new signing key, used from now on. */
  readonly rotateKeys: () => Promise<unknown>
  /**
   * How a session ends that is older than the key. Default: by `logOut`, with an ID Token of the old key as its hint.
   */
  readonly endAfterRotation?: (scene: Scene) => Promise<unknown>
  stop(): Promise<void>
}

/** How the provider's Logout Tokens look. */
export interface Shape {
  readonly typ: string | undefined
  readonly alg: string
  readonly lifetimeSeconds: number | undefined
  readonly aud: 'string' | 'array'
  readonly sub: boolean
  /** Whether one for a client that did not require a `sid` has one; undefined where that cannot be registered. */
  readonly sidIfNotRequired: boolean | undefined
}

/** What it does when it delivers. */
export interface Delivering {
  /** One user's logout in one browser ends that user's sessions in all. */
  readonly endsEveryBrowser: boolean
  /** The RP at which the logout began is told as well. */
  readonly tellsInitiator: boolean
  /** The user's own logout waits for the RPs. */
  readonly userWaits: boolean
  /** Undefined where it waits longer than ten seconds. */
  readonly hangsUpAfterSeconds: number | undefined
  /** How often it delivers a token that is answered 400. */
  readonly triesOn400: number
  /** And one answered as this package answers where a retry can cure it: 400, or 503 by the preset. */
  readonly triesOnFailure: number
  /** What becomes of a login that was under way: its code was issued before the logout and redeemed after it. */
  readonly codeAfterLogout: 'refused by the provider' | 'ended by the mark' | 'signed in, for nothing was sent'
  /**
   * What becomes of the first token by a new signing key. Refused for now: the RP cannot get the key while the provider
   * waits for it; the user is out all the same.
   */
  readonly newKey: 'taken' | 'refused for now'
}

export interface LiveProvider {
  /** As in the data of `test/conformance`. */
  readonly name: string
  readonly version: string
  /** How its clients are registered, where it is tried in several ways. Default: `session required`. */
  readonly circumstance?: string
  readonly preset: PresetName | undefined
  /** What the registration of this client adds to the preset. */
  readonly registered?: Omit<ProviderOptions, 'issuer' | 'clientId'>
  /** Programs that must be on the machine. */
  readonly needs: readonly string[]
  readonly shape: Shape
  readonly delivering: Delivering
  /** What else ends a session there, or does not; done by `RunningProvider.acts`. */
  readonly acts: Readonly<Record<string, Ends>>
  /** What `doctor` tells of it that others need not know. */
  readonly doctorSays?: readonly string[]
  /** What it warns of, since the provider's metadata say so. */
  readonly doctorWarns?: readonly string[]
  readonly start: (rps: LiveRps) => Promise<RunningProvider>
}
