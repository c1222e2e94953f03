// The recipes that need a framework compile; those of NestJS and Next.js are compiled by their own tools when they are
// run.

import { describeRecipeTypes } from '../stacks/describe-recipe-types.js'
import { recipes } from '../stacks/recipe.js'
import { RECIPES } from '../stacks/stack.js'
import { HERE } from './programs.js'

const ELSEWHERE = [...Object.keys(RECIPES), 'server-sent-events', 'nestjs', 'nestjs-fastify', 'nextjs']

describeRecipeTypes(
  recipes().filter((name) => !ELSEWHERE.includes(name) && name !== 'login'),
  HERE,
)
