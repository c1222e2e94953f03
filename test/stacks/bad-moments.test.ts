// Every recipe in the two moments that matter most.
import { describeBadMoments } from './describe-bad-moments.js'
import { RECIPES } from './stack.js'

for (const [name, options] of Object.entries(RECIPES)) describeBadMoments(name, options)
