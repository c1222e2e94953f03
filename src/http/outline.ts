// What may be kept of an error of somebody else's HTTP client: no words of its own, since they may hold a token.

/**
 * What is left of an error when all that could hold a token or a claim is taken away: its name, code and HTTP status.
 * Causes of HTTP clients hold requests and bodies, and errors are printed whole.
 */
export function outline(error: unknown): Error {
  const words = [nameOf(error), codeOf(error), statusOf(error)].filter((word) => word !== undefined)
  return new Error(words.join(' '))
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.constructor.name : typeof error
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  return codeOf(error.cause)
}

/** HTTP status of the answer behind an error, if there was one. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  if ('status' in error && typeof error.status === 'number') return error.status
  return error.cause instanceof Response ? error.cause.status : undefined
}
