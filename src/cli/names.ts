// A name that was given and is not among those there are: the nearest is said, and all are listed.
import { nearestName } from '../option-checks.js'
import { PRESET_NAMES, type PresetName } from '../providers/presets.js'
import { DEFECTS, type Defect } from '../testing/defects.js'
import { isPresetName } from './known-provider.js'
import { shown, UsageError } from './report.js'

/** `option` is as it is written on the command line, such as `--as`. */
export function presetNamed(option: string, given: string): PresetName {
  if (isPresetName(given)) return given
  throw unknown(option, given, PRESET_NAMES)
}

export function defectNamed(given: string): Defect {
  const found = DEFECTS.find(({ name }) => name === given)
  if (found !== undefined) return found.name
  throw unknown(
    '--defect',
    given,
    DEFECTS.map(({ name }) => name),
  )
}

function unknown(option: string, given: string, names: readonly string[]): UsageError {
  const meant = nearestName(given, names)
  const guess = meant === undefined ? '' : `it appears you mean ${meant}; `
  return new UsageError(
    `${option}: there is none named ${JSON.stringify(shown(given))}: ${guess}it is one of ${names.join(', ')}`,
  )
}
