// The alert rules and the dashboard: evaluated by the real Prometheus, about metrics that exist, with a page for who is
// woken.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { prometheusMetrics } from '../../src/telemetry/prometheus.js'

const folder = path.resolve(import.meta.dirname, '../../docs/operations')
const read = (file: string) => readFileSync(path.join(folder, file), 'utf8')
const hasPromtool = spawnSync('promtool', ['--version']).status === 0

function metricNames(): ReadonlySet<string> {
  const register = new Registry()
  const metrics = prometheusMetrics({ register })
  metrics.watch(createBackchannelLogout({ provider: { issuer: 'https://op.example.com', clientId: 'rp' } }))
  return new Set(register.getMetricsAsArray().map(({ name }) => name))
}

describe('operations', () => {
  // A skip is a failure in CI, and says what is missing; where nothing is missing there is nothing to skip.
  const test = hasPromtool ? it : it.skip
  test(`has alert rules that fire when they should, and only then (promtool, of Debian's package prometheus)`, () => {
    execFileSync('promtool', ['check', 'rules', path.join(folder, 'alerts.yml')], { stdio: 'pipe' })
    execFileSync('promtool', ['test', 'rules', path.join(folder, 'alerts.test.yml')], { stdio: 'pipe' })
  })

  it.each(['alerts.yml', 'grafana.json', '../operations.md'])('%s speaks of metrics that exist', (file) => {
    const named = read(file).match(/oidc_backchannel_logout_\w+/g) ?? []
    const base = named.map((name) => name.replace(/_bucket$/, ''))
    expect(base.filter((name) => !metricNames().has(name))).toEqual([])
    expect(base.length).toBeGreaterThan(3)
  })

  it('shows every metric on the dashboard', () => {
    expect([...metricNames()].filter((name) => !read('grafana.json').includes(name))).toEqual([])
  })

  it('tells who is woken by each alert what to do', () => {
    const page = read('../operations.md')
    const headings = [...page.matchAll(/^### (.+)$/gm)].map(([, title = '']) =>
      title.toLowerCase().replaceAll(' ', '-'),
    )
    const anchors = [...read('alerts.yml').matchAll(/operations\.md#(\S+)/g)].map(([, anchor]) => anchor)
    expect(anchors).toHaveLength(4)
    expect(headings).toEqual(expect.arrayContaining(anchors))
    for (const [, name = ''] of read('alerts.yml').matchAll(/alert: (\w+)/g)) expect(page).toContain(name)
  })
})
