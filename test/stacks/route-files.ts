// Serves a folder of route handlers as Next.js does: app/<path>/route.ts answers /<path>, each method by the function it exports, and
// 405 where it exports none. Run in the folder of the recipe.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { serve } from '@hono/node-server'

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  const file = path.join(process.cwd(), 'app', path.normalize(pathname), 'route.ts')
  if (!existsSync(file)) return new Response(null, { status: 404 })
  const handlers: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href)
  const handler = handlers[request.method]
  if (typeof handler !== 'function') return new Response(null, { status: 405 })
  return Reflect.apply(handler, undefined, [request, { params: Promise.resolve({}) }])
}

serve({ fetch: answer, port: 3000 })
