// What the recipe for passport-jwt uses of @types/passport-jwt, which passport-jwt leaves to its users to install.
declare module 'passport-jwt' {
  import { Strategy as PassportStrategy } from 'passport'

  type JwtFromRequest = (req: object) => string | null
  export const ExtractJwt: { fromAuthHeaderAsBearerToken(): JwtFromRequest }
  export interface StrategyOptions {
    jwtFromRequest: JwtFromRequest
    secretOrKey: string
    algorithms?: readonly string[]
    issuer?: string
    audience?: string
  }
  type Verified = (error: unknown, user?: object | false) => void
  export class Strategy extends PassportStrategy {
    constructor(options: StrategyOptions, verify: (claims: Record<string, unknown>, done: Verified) => void)
  }
}
