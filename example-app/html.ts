// HTML by template literal, escaped unless it is HTML already, and the one page frame of the OP and the RPs.

class Html {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

export type { Html }

type Part = string | number | Html | readonly Html[] | undefined

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function render(part: Part): string {
  if (part === undefined) return ''
  if (part instanceof Html) return part.source
  if (typeof part === 'object') return part.map(render).join('')
  return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

/** Tagged template: every value is escaped, except what this tag itself has made. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, index) => text + render(parts[index])).join(''))
}

/** Markup that somebody else has already escaped, e.g. a form which the OP's library made. */
export function trusted(source: string): Html {
  return new Html(source)
}

const STYLE = trusted(`
  :root { color-scheme: light dark; --accent: #4f46e5; --on-accent: #fff; --ink: #1c1b22; --soft: #5d5b6b;
    --ground: #f6f5f9; --card: #fff; --line: #dcd9e6; }
  .shop { --accent: #0f766e } .forum { --accent: #b45309 } .notes { --accent: #475569 }
  @media (prefers-color-scheme: dark) {
    :root { --accent: #a5a0ff; --on-accent: #15131f; --ink: #eceaf4; --soft: #a9a6b8; --ground: #131219; --card: #1d1b26; --line: #393648 }
    .shop { --accent: #5eead4 } .forum { --accent: #fbbf24 } .notes { --accent: #cbd5e1 }
  }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
    color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif }
  main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
    border-top: 4px solid var(--accent); border-radius: .75rem }
  .where { margin: 0; color: var(--accent); font-weight: 600; font-size: .9rem }
  h1 { margin: .25rem 0 .75rem; font-size: 1.5rem; line-height: 1.2; text-wrap: balance }
  p { margin: 0 0 1rem; color: var(--soft) }
  form, .actions { display: grid; gap: .6rem; margin: 1.25rem 0 0 }
  button, .button { display: block; width: 100%; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: .5rem;
    background: transparent; color: var(--ink); font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer }
  button:hover, .button:hover { border-color: var(--accent) }
  .primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
  .person { display: flex; align-items: center; gap: .75rem; text-align: left }
  .avatar { flex: none; width: 2.25rem; height: 2.25rem; display: grid; place-items: center; border-radius: 50%;
    background: var(--accent); color: var(--on-accent) }
  footer { margin-top: 1.5rem; font-size: .9rem } footer a { color: var(--soft) }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
`)

export interface Page {
  /** Whose page this is; shown above the title. */
  readonly where: string
  readonly title: string
  readonly body: Html
  /** Where "back to the overview" leads; absent outside the demo. */
  readonly overviewUrl?: string | undefined
}

/** A whole HTML document. */
export function page({ where, title, body, overviewUrl }: Page): string {
  const overview =
    overviewUrl === undefined ? undefined : html`<footer><a href="${overviewUrl}">Back to the overview</a></footer>`
  return html`<!doctype html>
<html lang="en" class="${where.toLowerCase()}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${title} · ${where}</title>
<style>${STYLE}</style>
<main>
<p class="where">${where}</p>
<h1>${title}</h1>
${body}
${overview}
</main>
</html>
`.source
}
