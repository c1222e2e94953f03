// What the enumerations share: the people of their scenarios, two nodes on a stage, and all orders of what happens
// there.
import { BEGIN_LOGIN, independent } from './independent-steps.js'
import { type Enumeration, everyInterleaving, type Findings, type Scheduler } from './scheduler.js'
import { type Node, type SignOnOfUser, userOf, World, type WorldOptions } from './world.js'

export const LAPTOP = { sub: 'alice', sid: 'laptop', iat: 900 }
export const PHONE: SignOnOfUser = { sub: 'alice', sid: 'phone', iat: 910 }
export const BOB: SignOnOfUser = { sub: 'bob', sid: 'bob', iat: 920 }
/** Clearly after the logout, whatever the store's clock says. */
export const LATER: SignOnOfUser = { sub: 'alice', sid: 'later', iat: 1_100 }
export const LOGOUT_IAT = 1_030

type Together = (...tasks: (() => Promise<unknown>)[]) => Promise<void>
export type Target = { readonly sid: string } | { readonly sub: string }
export const BY_SID: Target = { sid: LAPTOP.sid }
export const BY_SUB: Target = { sub: LAPTOP.sub }

export class Stage {
  readonly world: World
  /** Where the browsers' requests are served. */
  readonly web: Node
  readonly nodes: readonly Node[]
  readonly #together: Together
  readonly #back: Node
  readonly #scheduler: Scheduler

  constructor(world: World, web: Node, back: Node, together: Together, scheduler: Scheduler) {
    this.#scheduler = scheduler
    this.world = world
    this.web = web
    this.nodes = [web, back]
    this.#back = back
    this.#together = together
  }

  together(...tasks: (() => Promise<unknown>)[]): Promise<void> {
    this.world.now = 1_100
    return this.#together(...tasks)
  }

  /** The Logout Token, at the node where it arrives. */
  logOut(target: Target, jti?: string, iat = LOGOUT_IAT): Promise<unknown> {
    return this.world.logOut(this.#back, target, iat, jti)
  }

  /** As an administrator does, at the node where the Logout Token would arrive: no token dates it. */
  terminate(target: Target): Promise<unknown> {
    return this.world.logOut(this.#back, target)
  }

  /** The user is sent to the OP, at any time in the schedule. Resolves to when, by the store's clock. */
  async beginLogin(): Promise<number> {
    await this.#scheduler.step(BEGIN_LOGIN, this.nodes.indexOf(this.web) + 1)
    this.world.now += 1
    return this.world.now++
  }

  /** Whether a step was done in this run before the last step of another kind. */
  isBefore(one: string, lastOther: string): boolean {
    const { steps } = this.#scheduler
    return steps.indexOf(one) < steps.lastIndexOf(lastOther)
  }

  async verdict(
    ended: readonly SignOnOfUser[],
    alive: readonly (readonly [SignOnOfUser, string])[],
  ): Promise<Findings> {
    const survivors = await this.world.survivors(this.nodes, ended.map(userOf))
    const wronglyEnded: string[] = []
    for (const [signOn, cookie] of alive) {
      if ((await this.world.whoIs(this.web, cookie)) !== userOf(signOn))
        wronglyEnded.push(`${userOf(signOn)} is wrongly ended`)
    }
    return [...survivors, ...wronglyEnded]
  }
}

export type Scenario = (stage: Stage) => Promise<Findings>

/** `nodes`: whether the Logout Token arrives where the requests are served. */
export type Setting = WorldOptions & { readonly nodes?: 1 | 2 }

/** `others`: an order that comes to the same as one that was tried is left out, or is not. */
export async function enumerate(
  scenario: Scenario,
  { nodes = 2, ...options }: Setting = {},
  others: 'left out' | 'tried' = 'left out',
): Promise<Enumeration & { readonly pictures: ReadonlySet<string> }> {
  const pictures = new Set<string>()
  const run = async (scheduler: Scheduler) => {
    const world = new World({ ...options, step: (step, node) => scheduler.step(step, node) })
    const web = world.addNode()
    const back = nodes === 1 ? web : world.addNode()
    try {
      const together: Together = async (...tasks) => {
        await scheduler.together(...tasks)
        pictures.add(JSON.stringify([...world.rows].sort()))
      }
      return await scenario(new Stage(world, web, back, together, scheduler))
    } finally {
      world.close()
    }
  }
  return { ...(await everyInterleaving(run, others === 'left out' ? independent : undefined)), pictures }
}
