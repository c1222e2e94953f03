// What has other names or other arguments in earlier commits, so that this bench drives their builds, too.

/** What `begin` of a store was told besides; ignored since. */
export const FORMER_BEGIN = { toleranceSeconds: 60, mayFinish: true }

/** Modules of src/ that this bench imports -> where they were before. */
export const FORMER_MODULES: Readonly<Record<string, string>> = { 'access-tokens/index': 'claims/index' }
