// Writes down what is issued while a test signs in, refreshes and logs out, and what an API learns of it. Asserts
// nothing and knows no provider.
import { decodeJwt } from 'jose'
import type { IdTokenClaims } from 'oidc-backchannel-logout'
import type { LiveRp } from './live-rp.js'
import { type RecordedLogins, type RecordedStep, recordLogins, type SaidOfToken } from './seen.js'
import type { TokenAnswers } from './token-answers.js'

interface Recorded {
  readonly rp: LiveRp
  readonly answers: TokenAnswers
  /** Asked while the token is as good as new. */
  readonly said: (token: string) => Promise<SaidOfToken>
}

/** Seconds, by the clock that the RP has as well. */
const now = () => Date.now() / 1000

export class LoginRecording {
  readonly #of: Recorded
  readonly #steps: RecordedStep[] = []

  constructor(of: Recorded) {
    this.#of = of
  }

  /** Of the RP, by `act`. */
  async signIn(name: string, act: () => Promise<unknown>): Promise<void> {
    const { answers, said } = this.#of
    const startedAt = now()
    await act()
    const at = now()
    const { access_token, id_token } = await answers.last()
    const idToken = decodeJwt<IdTokenClaims>(id_token)
    this.#steps.push({ step: 'sign-in', name, startedAt, at, idToken, ...(await said(access_token)) })
  }

  async refreshed(name: string, token: string): Promise<void> {
    this.#steps.push({ step: 'refresh', name, at: now(), ...(await this.#of.said(token)) })
  }

  /** As the RP was told last. */
  loggedOut(): void {
    const delivery = this.#of.rp.deliveries.at(-1)
    if (delivery === undefined) throw new Error('the RP has heard of no logout')
    this.#steps.push({ step: 'logout', at: delivery.arrivedAtMs / 1000, logoutToken: { ...delivery.payload } })
  }

  write(about: Omit<RecordedLogins, 'source' | 'steps'>, names: ReadonlyMap<string, string>): void {
    recordLogins({ ...about, steps: this.#steps }, names)
  }
}
