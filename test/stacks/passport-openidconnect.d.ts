// What the passport recipe uses of @types/passport-openidconnect, which passport-openidconnect leaves to its users to install.
declare module 'passport-openidconnect' {
  import { type Profile as PassportProfile, Strategy as PassportStrategy } from 'passport'

  class OpenIDConnectStrategy extends PassportStrategy {
    constructor(options: OpenIDConnectStrategy.StrategyOptions, verify: OpenIDConnectStrategy.VerifyFunction)
  }
  namespace OpenIDConnectStrategy {
    interface StrategyOptions {
      issuer: string
      authorizationURL: string
      tokenURL: string
      userInfoURL: string
      clientID: string
      clientSecret: string
      callbackURL: string
      nonce?: string | undefined
    }
    type Profile = PassportProfile
    type VerifyCallback = (error?: Error | null, user?: Express.User, info?: unknown) => void
    type VerifyFunction =
      | ((issuer: string, profile: Profile, done: VerifyCallback) => void)
      | ((issuer: string, profile: Profile, context: object, idToken: string | object, done: VerifyCallback) => void)
  }
  export = OpenIDConnectStrategy
}
