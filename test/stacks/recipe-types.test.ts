// The recipes that need no framework of their own compile.
import { describeRecipeTypes } from './describe-recipe-types.js'
import { TSCONFIG } from './recipe.js'
import { RECIPES } from './stack.js'

/** Run by tests of their own. */
const OTHERS = ['server-sent-events', 'broker', 'saml']
const NAMES = Object.entries(RECIPES).map(([name, { recipe = name }]) => recipe)

describeRecipeTypes(
  [...new Set(NAMES), ...OTHERS].filter((name) => name !== 'README'),
  { tsconfig: TSCONFIG },
)
