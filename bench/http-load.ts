// Load over kept-alive connections, each with one request in flight. Bare sockets and requests written ahead, so that
// the generator costs less than what it measures. Every answer is looked at: a refused request is no measurement.
import { createConnection, type Socket } from 'node:net'

export interface Load {
  readonly port: number
  readonly requests: readonly Buffer[]
  readonly connections: number
  /** The status each answer must have. */
  readonly status: number
  /** Ends the load before its requests are used up. */
  readonly isOver?: () => boolean
}

export interface Measured {
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function load({ port, requests, connections, status, isOver = () => false }: Load): Promise<Measured> {
  const queue = requests.values()
  const latencies: number[] = []
  const sockets = await Promise.all(Array.from({ length: connections }, () => connect(port)))
  const started = performance.now()
  try {
    await Promise.all(
      sockets.map(async (socket) => {
        for (const request of queue) {
          if (isOver()) return
          const sent = performance.now()
          const answered = await exchange(socket, request)
          latencies.push(performance.now() - sent)
          if (answered.status !== status) throw new Error(`expected ${status}, got ${answered.text.slice(0, 500)}`)
        }
      }),
    )
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  const seconds = (performance.now() - started) / 1000
  return {
    seconds,
    requestsPerSecond: latencies.length / seconds,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

function connect(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

function exchange(socket: Socket, request: Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let text = ''
    const settle = (outcome: () => void) => {
      socket.off('data', onData).off('close', onClose)
      outcome()
    }
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (isWhole(text)) settle(() => resolve({ status: Number(text.slice(9, 12)), text }))
    }
    const onClose = () => settle(() => reject(new Error(`the connection closed; so far: ${text.slice(0, 500)}`)))
    socket.on('data', onData).on('close', onClose)
    socket.write(request)
  })
}

/** HTTP/1.1 answers by length, chunked, or without a body. */
function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1]
  if (length !== undefined) return text.length >= end + 4 + Number(length)
  return text.startsWith('HTTP/1.1 204') || text.endsWith('0\r\n\r\n')
}
