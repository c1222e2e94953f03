// The query of a request target, whatever else the target is: a sender may write there what no URL parser takes.

/** Its parameters; none where there is no query. Never throws. */
export function queryOf(target: string | undefined): URLSearchParams {
  const start = target?.indexOf('?') ?? -1
  return new URLSearchParams(start < 0 ? '' : target?.slice(start + 1))
}
