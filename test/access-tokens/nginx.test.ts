// The gateway of docs/recipes/gateways.md: the program and the configuration as the page has them, under the real
// nginx.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll } from 'vitest'
import { dataDirectory, describeWith, installed, onPath, startProcess } from '../servers/processes.js'
import { redisServer } from '../servers/redis.js'
import { describeGateway } from './describe-gateway.js'

const nginx = installed(...onPath('nginx'), '/usr/sbin/nginx')

describeWith(redisServer && nginx, 'nginx, or redis-server,')('nginx that asks for a verdict', () => {
  const directory = dataDirectory('nginx')
  afterAll(() => directory.remove())

  describeGateway((configuration, origin) => {
    // The page's server in what every nginx needs.
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${each};`)
    const file = path.join(directory.path, 'nginx.conf')
    const lines = [
      'daemon off; master_process off; pid nginx.pid; events {}',
      `http { access_log off; ${temporary.join(' ')}\n${configuration('nginx')} }`,
    ]
    writeFileSync(file, lines.join('\n'))
    const isUp = async () => (await fetch(origin)).status === 401
    return startProcess(nginx ?? '', ['-p', directory.path, '-c', file, '-e', 'stderr'], isUp)
  }, '1')
})
