// What a browser sees of "your devices". Knows no protocol, and shows no session id.
import { html, page } from './html.js'
import { askAgain } from './relying-party-pages.js'

export interface Look {
  readonly where: string
  readonly overviewUrl?: string | undefined
}

interface Device {
  readonly handle: string
  /** Epoch seconds. */
  readonly boundAt: number
  readonly label?: string
  readonly current: boolean
}

interface Devices extends Look {
  readonly sessions: readonly Device[]
  /** Where the next page begins. */
  readonly cursor?: string
}

export function devicesPage({ sessions, cursor, ...look }: Devices): string {
  const more = cursor === undefined ? undefined : `/devices?${new URLSearchParams({ after: cursor })}`
  const hasOthers = more !== undefined || sessions.some(({ current }) => !current)
  const body = html`<p>Where you are signed in to ${look.where}. Whoever is still signed in at your OpenID Provider on one of
these devices is in again with one click there.</p>
${sessions.map(device)}
${more === undefined ? undefined : html`<div class="actions"><a class="button" href="${more}">More</a></div>`}
${hasOthers ? html`<form method="post" action="/devices/end-others"><button>Log out the others</button></form>` : undefined}
<form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>
<div class="actions"><a class="button" href="/">Back</a></div>${askAgain}`
  return page({ ...look, title: 'Your devices', body })
}

function device({ handle, boundAt, label = 'A browser', current }: Device) {
  const since = new Date(boundAt * 1000).toISOString().slice(0, 16).replace('T', ' ')
  const about = html`<p class="device">${label}${current ? ', this one' : ''}<br>since ${since} UTC</p>`
  // This one's end is the log out button's: it goes on to the OpenID Provider.
  const [action, words] = current ? ['/logout', 'Log out'] : [`/devices/end/${handle}`, 'End']
  return html`${about}<form method="post" action="${action}"><button aria-label="${words} ${label}">${words}</button></form>`
}
