// The recipes that need no framework of their own compile.
import { describeRecipeTypes } from './describe-recipe-types.js'
import { TSCONFIG } from './recipe.js'
import { RECIPES } from './stack.js'

const OPEN_CONNECTIONS = ['server-sent-events']
const NAMES = Object.entries(RECIPES).map(([name, { recipe = name }]) => recipe)

describeRecipeTypes(
  [...new Set(NAMES), ...OPEN_CONNECTIONS].filter((name) => name !== 'README'),
  { tsconfig: TSCONFIG },
)
