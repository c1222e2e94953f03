// Tells after a run which tests passed at their second try only, and what the first one said: a fault that comes and goes is one.
import type { Reporter, TestCase } from 'vitest/node'

export default class SecondTries implements Reporter {
  readonly #found: string[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.result().state !== 'passed' || (test.diagnostic()?.retryCount ?? 0) === 0) return
    const said = (test.result().errors ?? []).map(({ message }) => message.slice(0, 300))
    this.#found.push([`  ${test.module.relativeModuleId} > ${test.fullName}`, ...said].join('\n    '))
  }

  onTestRunEnd(): void {
    if (this.#found.length === 0) return
    process.stdout.write(`\n${this.#found.length} passed at the second try only:\n${this.#found.join('\n')}\n`)
  }
}
