// The machine that measures: what it is, and how much of it others use.
import os from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly os: string
}

export function machine(): Machine {
  const cpus = os.cpus()
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryBytes: os.totalmem(),
    os: `${os.type()} ${os.release()}`,
  }
}

export function printedMachine({ cpu, cores, memoryBytes, os: system }: Machine): string {
  return `${cpu}, ${cores} cores, ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, Node ${process.version}`
}

const WATCHED_MILLISECONDS = 3000

/** Which share of all processors was in use over three seconds: of others, as long as the bench itself does nothing. */
export async function busyShare(milliseconds = WATCHED_MILLISECONDS): Promise<number> {
  const before = processorTime()
  await delay(milliseconds)
  const after = processorTime()
  return 1 - (after.idle - before.idle) / (after.all - before.all)
}

function processorTime(): { readonly idle: number; readonly all: number } {
  let [idle, all] = [0, 0]
  for (const { times } of os.cpus()) {
    idle += times.idle
    for (const part of Object.values(times)) all += part
  }
  return { idle, all }
}
