// A real Redis, alone, watched by a sentinel, or as a cluster of three.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { dataDirectory, freePort, installed, onPath, startProcess } from './processes.js'

export const redisServer = installed(...onPath('redis-server'), '/usr/bin/redis-server')

export interface RunningRedis {
  readonly host: string
  readonly port: number
  readonly url: string
  /** SIGKILL leaves its data directory as it is. */
  kill(): Promise<void>
  /** Starts it again on the same port and data. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** `config`: further settings, as `['--maxmemory', '10mb']`. */
export async function startRedis(config: readonly string[] = []): Promise<RunningRedis> {
  if (redisServer === undefined) throw new Error('redis-server is not installed')
  const program = redisServer
  const directory = dataDirectory('redis')
  const port = await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory.path, '--save', '', ...config]
  const start = () => startProcess(program, args, async () => (await sendOnce(port, ['PING'])) === '+PONG')
  let running = await start()
  return {
    host: '127.0.0.1',
    port,
    url: `redis://127.0.0.1:${port}`,
    kill: () => running.stop('SIGKILL'),
    async restart() {
      await running.stop('SIGKILL')
      running = await start()
    },
    async stop() {
      await running.stop('SIGKILL')
      directory.remove()
    },
  }
}

export interface RunningRedisSentinel {
  readonly name: string
  readonly port: number
  stop(): Promise<void>
}

/** A sentinel that watches this primary; ready when it knows of one replica. */
export async function startRedisSentinel(primary: RunningRedis): Promise<RunningRedisSentinel> {
  if (redisServer === undefined) throw new Error('redis-server is not installed')
  const name = 'watched'
  const directory = dataDirectory('sentinel')
  const port = await freePort()
  const file = join(directory.path, 'sentinel.conf') // which a sentinel rewrites
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${directory.path}`]
  writeFileSync(file, [...lines, `sentinel monitor ${name} ${primary.host} ${primary.port} 1`, ''].join('\n'))
  const knowsReplica = async () => (await sendOnce(port, ['SENTINEL', 'REPLICAS', name])).startsWith('*1')
  const running = await startProcess(redisServer, [file, '--sentinel'], knowsReplica)
  return {
    name,
    port,
    async stop() {
      await running.stop('SIGKILL')
      directory.remove()
    },
  }
}

export interface RunningRedisCluster {
  readonly nodes: readonly RunningRedis[]
  stop(): Promise<void>
}

/** Three masters that share the slots. */
export async function startRedisCluster(): Promise<RunningRedisCluster> {
  const nodes = await Promise.all(
    [0, 1, 2].map(async () => startRedis(['--cluster-enabled', 'yes', '--cluster-port', `${await freePort()}`])),
  )
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    const [first] = nodes
    if (first === undefined) throw new Error('no nodes')
    const bus = (await sendOnce(first.port, ['CONFIG', 'GET', 'cluster-port'])).split('\r\n').at(-1) ?? ''
    const bounds = [0, 5461, 10923, 16384]
    for (const [i, node] of nodes.entries()) {
      const [from = 0, to = 0] = bounds.slice(i)
      await sendOnce(node.port, ['CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to - 1}`])
      await sendOnce(node.port, ['CLUSTER', 'SET-CONFIG-EPOCH', `${i + 1}`])
      if (i > 0) await sendOnce(node.port, ['CLUSTER', 'MEET', '127.0.0.1', `${first.port}`, bus])
    }
    for (const node of nodes) {
      const deadline = Date.now() + 30_000
      while (!(await agrees(node.port))) {
        if (Date.now() > deadline) throw new Error('the cluster did not form')
        await delay(50)
      }
    }
    return { nodes, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function agrees(port: number): Promise<boolean> {
  const info = await sendOnce(port, ['CLUSTER', 'INFO'])
  return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
}

/**
 * One command on a connection of its own, its raw reply without the final line end. No driver, so that none is
 * favoured.
 */
async function sendOnce(port: number, args: readonly string[]): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write(`*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`)
    const [chunk] = await once(socket, 'data')
    const reply = String(chunk).replace(/\r\n$/, '')
    if (reply.startsWith('-')) throw new Error(reply)
    return reply
  } finally {
    socket.destroy()
  }
}
