// The site: the pages of docs as they stand, in the order in which one needs them. A link that leads nowhere fails the
// build.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { defineConfig } from 'vitepress'

const docs = path.resolve(import.meta.dirname, '../../docs')
const titleOf = (file) =>
  /^# (.+)$/m.exec(readFileSync(path.join(docs, file), 'utf8'))?.[1]?.replaceAll('`', '') ?? file
const item = (file) => ({ text: titleOf(file), link: `/${file.replace(/\.md$/, '')}` })
const BEGIN = ['concepts.md', 'options.md', 'answers.md', 'stores.md', 'moving-in.md']
const TEST = ['testing.md', 'command-line.md', 'troubleshooting.md', 'errors.md', 'operations.md', 'scale.md']
const further = readdirSync(docs).filter(
  (file) => file.endsWith('.md') && ![...BEGIN, ...TEST, 'index.md', 'providers.md'].includes(file),
)
const under = (folder) =>
  readdirSync(path.join(docs, folder))
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .sort()
    .map((file) => item(`${folder}/${file}`))

export default defineConfig({
  title: 'oidc-backchannel-logout',
  description: 'When the OpenID Provider says that a user is logged out, nothing of that sign-on survives.',
  // A copy, because a page's own imports are looked for from where it lies.
  srcDir: './pages',
  outDir: './dist',
  cleanUrls: true,
  rewrites: { 'recipes/README.md': 'recipes/index.md', 'api/README.md': 'api/index.md' },
  // What lies beside docs is in the repository, not on the site.
  ignoreDeadLinks: [
    /^(?:\.\/)?(?:\.\.\/)+(?:example-app|src|test|bench|README|SECURITY|CHANGELOG|LICENSE)/,
    /\.(?:ts|js|json|yml|sql|lua)$/,
  ],
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      { text: 'Begin', items: BEGIN.map(item) },
      { text: 'Test and look', items: TEST.map(item) },
      { text: 'Operations', collapsed: true, items: under('operations') },
      { text: 'Recipes', collapsed: true, items: under('recipes') },
      { text: 'Providers', collapsed: true, items: [item('providers.md'), ...under('providers')] },
      {
        text: 'API',
        collapsed: true,
        items: [item('api/oidc-backchannel-logout.md'), ...under('api/oidc-backchannel-logout')],
      },
      { text: 'Further', items: further.map(item) },
    ],
  },
})
