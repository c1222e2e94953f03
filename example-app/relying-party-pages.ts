// What a browser sees of the RP. Knows no protocol.
import { html, page, trusted } from './html.js'

interface Look {
  readonly where: string
  readonly overviewUrl?: string | undefined
}

const signInAgain = html`<div class="actions"><a class="button primary" href="/login">Sign in</a></div>`

/**
 * Browsers keep whole pages for the Back button, `no-store` or not, and after a logout by the back channel nothing of
 * theirs has changed: a page that is shown again asks the server again, and shows nothing until it has.
 */
export const askAgain = html`<script>${trusted(`addEventListener('pageshow', (event) => {
  if (!event.persisted) return
  document.documentElement.hidden = true
  location.reload()
})`)}</script>`

interface Home extends Look {
  readonly sub: string | undefined
  readonly hasOrders: boolean
  readonly hasDevices: boolean
}

export function homePage({ sub, hasOrders, hasDevices, ...look }: Home): string {
  if (sub === undefined) {
    const body = html`<p>Nobody is signed in here.</p>${signInAgain}`
    return page({ ...look, title: 'Welcome', body })
  }
  const body = html`<p>You are signed in. This page asks the session store again each time you load it.</p>
${hasOrders ? html`<div class="actions"><a class="button primary" href="/orders">My orders</a></div>` : undefined}
${hasDevices ? html`<div class="actions"><a class="button" href="/devices">Your devices</a></div>` : undefined}
<form method="post" action="/logout"><button>Log out</button></form>${askAgain}`
  return page({ ...look, title: `Hello, ${sub}`, body })
}

interface LoggedOut extends Look {
  /** Whether the OP handed back what this browser took along. */
  readonly state: 'matched' | 'missing' | 'changed' | 'not-expected'
  readonly provider: 'asked' | 'not-asked' | 'unsupported' | 'unreachable'
}

/** Says what was ended and what was not: the session here has ended in every case. */
export function loggedOutPage({ state, provider, ...look }: LoggedOut): string {
  const body = html`<p>Your session here has ended.</p>${atTheProvider(state, provider)}${signInAgain}`
  return page({ ...look, title: 'You are logged out', body })
}

function atTheProvider(state: LoggedOut['state'], provider: LoggedOut['provider']) {
  if (provider === 'unsupported')
    return html`<p>You are still signed in at your OpenID Provider, which has no logout.</p>`
  if (provider === 'unreachable') {
    return html`<p>Your OpenID Provider did not answer, so you may still be signed in there.</p>`
  }
  if (state === 'matched') return html`<p>Your OpenID Provider was told as well.</p>`
  if (state === 'missing' || state === 'changed') {
    return html`<p>The answer of your OpenID Provider was not the expected one, so you may still be signed in there.</p>`
  }
  return undefined
}

export function endedPage(look: Look): string {
  const body = html`<p>You were logged out while you were signing in, so nobody is signed in here.</p>${signInAgain}`
  return page({ ...look, title: 'Logged out meanwhile', body })
}

export function signInFailedPage(look: Look): string {
  const body = html`<p>The sign-in was cancelled, or took too long. Nobody is signed in.</p>${signInAgain}`
  return page({ ...look, title: 'Sign-in not completed', body })
}

export function unavailablePage(look: Look): string {
  const body = html`<p>Something that is needed here does not answer. If you are signed in, you still are.</p>
<div class="actions"><a class="button" href="/">Try again</a></div>`
  return page({ ...look, title: 'Not available just now', body })
}

export function unreachablePage(look: Look): string {
  const body = html`<p>The OpenID Provider cannot be reached, so nobody can sign in just now.</p>
<div class="actions"><a class="button" href="/login">Try again</a></div>`
  return page({ ...look, title: 'No sign-in just now', body })
}

/** What the API answers. */
export interface Orders {
  readonly orders: readonly string[]
  /** What the API keeps of the OP's answer about the access token. */
  readonly kept: { readonly sub: string; readonly until: number; readonly calls: number }
}

export function ordersPage({ orders, kept, ...look }: Look & Orders): string {
  const until = new Date(kept.until * 1000).toLocaleTimeString('en-GB')
  const body = html`<p>The API has them. It asked the OpenID Provider once about the access token, keeps the answer until ${until},
and has served ${kept.calls === 1 ? '1 call' : `${kept.calls} calls`} with it.</p>
<ul>${orders.map((order) => html`<li>${order}</li>`)}</ul>
<div class="actions"><a class="button" href="/">Back</a></div>${askAgain}`
  return page({ ...look, title: `Orders of ${kept.sub}`, body })
}

export function noOrdersPage(look: Look): string {
  const body = html`<p>The API does not give the orders just now, or does not accept the access token.</p>
<div class="actions"><a class="button" href="/">Back</a></div>`
  return page({ ...look, title: 'No orders just now', body })
}
