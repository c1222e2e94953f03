// When a program of this example is asked to stop: Ctrl-C, or the signal of a supervisor.

/** Resolves at the first SIGINT or SIGTERM. A second one ends the process the hard way, should stopping hang. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}
