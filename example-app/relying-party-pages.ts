// What a browser sees of the RP. Knows no protocol.
import { html, page } from './html.js'

interface Look {
  readonly where: string
  readonly overviewUrl?: string | undefined
}

const signInAgain = html`<div class="actions"><a class="button primary" href="/login">Sign in</a></div>`

export function homePage({ sub, ...look }: Look & { readonly sub: string | undefined }): string {
  if (sub === undefined) {
    const body = html`<p>Nobody is signed in here.</p>${signInAgain}`
    return page({ ...look, title: 'Welcome', body })
  }
  const body = html`<p>You are signed in. This page asks the session store again each time you load it.</p>
<form method="post" action="/logout"><button>Log out</button></form>`
  return page({ ...look, title: `Hello, ${sub}`, body })
}

export function loggedOutPage(look: Look): string {
  return page({ ...look, title: 'You are logged out', body: html`<p>Your session here has ended.</p>${signInAgain}` })
}

export function endedPage(look: Look): string {
  const body = html`<p>You were logged out while you were signing in, so nobody is signed in here.</p>${signInAgain}`
  return page({ ...look, title: 'Logged out meanwhile', body })
}

export function signInFailedPage(look: Look): string {
  const body = html`<p>The sign-in was cancelled, or took too long. Nobody is signed in.</p>${signInAgain}`
  return page({ ...look, title: 'Sign-in not completed', body })
}

export function unreachablePage(look: Look): string {
  const body = html`<p>The OpenID Provider cannot be reached, so nobody can sign in just now.</p>
<div class="actions"><a class="button" href="/login">Try again</a></div>`
  return page({ ...look, title: 'No sign-in just now', body })
}
