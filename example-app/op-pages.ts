// What a browser sees of the demo's OpenID Provider. Knows no protocol beyond the names that oidc-provider's forms
// have.
import { STATUS_CODES } from 'node:http'
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider'
import { html, page, trusted } from './html.js'

const WHERE = 'OpenID Provider'

/** `sub` and name of everybody who can sign in. */
export const USERS: ReadonlyMap<string, string> = new Map([
  ['ada', 'Ada'],
  ['grace', 'Grace'],
  ['linus', 'Linus'],
])

export function loginPage(clientName: string): string {
  const buttons = [...USERS].map(
    ([sub, name]) => html`
<button class="person" name="sub" value="${sub}"><span class="avatar" aria-hidden="true">${name.slice(0, 1)}</span>${name}</button>`,
  )
  const body = html`<p>${clientName} asks who you are. No password here: choose somebody to be.</p>
<form method="post">${buttons}
<button name="sub" value="">Cancel</button>
</form>`
  return page({ where: WHERE, title: 'Sign in', body })
}

export function logoutSource(ctx: KoaContextWithOIDC, form: string): void {
  const name = USERS.get(ctx.oidc.session?.accountId ?? '') ?? 'you'
  const clientName = ctx.oidc.client?.clientName
  const body = html`<p>This browser is signed in here as ${name}. Every application in which this browser signed in will be told, server to server.</p>
${trusted(form)}
<div class="actions">
<button class="primary" form="op.logoutForm" name="logout" value="yes" autofocus>Log out everywhere</button>
${
  clientName === undefined
    ? html`<a class="button" href="/">Stay signed in</a>`
    : html`<button form="op.logoutForm">Only of ${clientName}</button>`
}
</div>`
  ctx.body = page({ where: WHERE, title: `Log out ${name}?`, body })
}

export function postLogoutSuccessSource(ctx: KoaContextWithOIDC): void {
  const clientName = ctx.oidc.client?.clientName
  const body = html`<p>${clientName === undefined ? 'Every application was told.' : `${clientName} was told; the others keep you signed in.`}</p>
<div class="actions"><a class="button" href="/">Continue</a></div>`
  ctx.body = page({ where: WHERE, title: 'You are logged out', body })
}

export const renderError: NonNullable<Configuration['renderError']> = (ctx, out) => {
  ctx.type = 'html'
  const body = html`<p>${out.error_description ?? STATUS_CODES[ctx.status]}</p>
<p><code>${out.error}</code></p>
<div class="actions"><a class="button" href="/">Continue</a></div>`
  ctx.body = page({ where: WHERE, title: 'That did not work', body })
}
