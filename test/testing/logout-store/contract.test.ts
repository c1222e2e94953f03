// The contract suite, run against stores with one defect each: a suite that passes one of them proves nothing.
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../../src/index.js'
import { logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { casesOf, DEFECTS, type Defect, isKept, NARROW } from './broken-stores.js'

/** Kept apart only where the name says so. */
const nodesOf = (name: string) => (name.startsWith('another') ? 'apart' : 'shared')

/** The first case that fails, if one does. */
async function failure(defect: Defect, nodes: 'shared' | 'apart' = 'shared'): Promise<string | undefined> {
  for (const each of casesOf(defect, nodes)) if (!(await isKept(each))) return each.name
  return undefined
}

/** Those of thousands of sessions take long, and are no narrower than the others. */
const isSmall = ({ name }: { readonly name: string }) => !/many sessions|^pages/.test(name)

/** Between them these fail nearly every case: tried first, since a case takes its time. */
const BROAD = [
  'begin ends nobody',
  'a jti is consumed by the first try',
  'rebind leaves the binding behind',
  'skew without end',
  'bind lifts an end by a logout',
  'every sid mark covers every sub',
  'nothing expires',
  'local ends are not recorded',
  'tokens are not recorded',
]

describe('the logout store contract', () => {
  it('says in words what create() has to give, where it gave the store itself, or one with a method too few', async () => {
    const { bind, ...lacking } = Object.fromEntries(
      Object.getOwnPropertyNames(Object.getPrototypeOf(memoryStore())).map((name) => [name, () => {}]),
    )
    const scene = { now: async () => Date.now() / 1000, dispose() {} }
    for (const [given, words] of [
      [memoryStore(), /create\(\) must resolve to \{ store, now, dispose \}\. It gave the store itself\. Write/],
      [undefined, /create\(\) must resolve to \{ store, now, dispose \}\. Write/],
      [{ ...scene, store: lacking }, /the store has no bind$/],
    ] as const) {
      const [first] = Reflect.apply(logoutStoreContract, undefined, [{ create: async () => given }])
      await expect(first?.run()).rejects.toThrow(words)
      await expect(first?.run()).rejects.toBeInstanceOf(TypeError)
    }
  })

  it('passes a store that only delegates', async () => {
    expect(await failure(() => ({}))).toBeUndefined()
  })

  for (const [name, defect] of Object.entries(DEFECTS)) {
    it(`fails a store of which ${name}`, { concurrent: true }, async () => {
      expect(await failure(defect, nodesOf(name))).toBeDefined()
    })
  }

  for (const [name, defect] of Object.entries(NARROW)) {
    it(`has two other cases at most for a store that fails this one: ${name}`, { concurrent: true }, async () => {
      const failed: string[] = []
      for (const each of casesOf(defect).filter(isSmall)) if (!(await isKept(each))) failed.push(each.name)
      expect(failed).toContain(name)
      expect(failed.length).toBeLessThanOrEqual(3)
    })
  }

  it('has no case that each of these stores keeps', async () => {
    const order = [...new Set([...BROAD, ...Object.keys(DEFECTS)])]
    const broken = order.map((name) => {
      const defect = DEFECTS[name]
      if (defect === undefined) throw new Error(`There is no such store: ${name}`)
      return new Map(casesOf(defect, nodesOf(name)).map((each) => [each.name, each]))
    })
    const isKeptByAll = async ({ name }: { readonly name: string }) => {
      if (name in NARROW) return false
      for (const cases of broken) {
        const each = cases.get(name)
        if (each === undefined) return true
        if (!(await isKept(each))) return false
      }
      return true
    }
    const cases = casesOf(() => ({}))
    const areKept = await Promise.all(cases.map(isKeptByAll))
    const kept = cases.filter((_, i) => areKept[i]).map(({ name }) => name)
    expect(kept).toEqual([])
  })
})
