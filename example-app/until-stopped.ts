// When a program of this example is asked to stop: Ctrl-C, or the signal of a supervisor.

/** A terminal signals the whole group, and npm then hands its own signal on: both must find somebody who listens. */
const REPEATED_WITHIN_MS = 300

/** Resolves a moment after the first SIGINT or SIGTERM; later ones change nothing. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => setTimeout(resolve, REPEATED_WITHIN_MS)
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
