// Who is signed in where: a card for each browser. A card is updated, never replaced, so that what changes can be seen
// to change.
import { el, mark, warning } from './element.js'

const board = document.getElementById('browsers')

export const PROVIDER = { clientId: 'op', name: 'Provider', tone: 'op' }
/** How long a card stays after its last session ended, so that one sees it end. */
const FAREWELL_MS = 4000

/** `state`: `in`, `out`, or `left` where a session outlives its sign-on. */
function placeItem(place, you) {
  const status = el('span', { class: 'status' })
  const item = el('li', { class: `place tone-${place.tone}`, 'data-place': place.clientId }, mark(), warning())
  const name = el('strong', {}, place.name)
  if (place.byHand) name.append(el('span', { class: 'by-hand' }, 'by hand'))
  item.append(el('span', {}, name, status))
  const links = you ? (place.urls ?? []).map((url) => ({ url, link: el('a') })) : []
  item.append(el('span', { class: 'links' }, ...links.map(({ link }) => link)))
  let wasIn = false
  return {
    item,
    update(state, who) {
      const isIn = state !== 'out'
      if (wasIn && !isIn) item.classList.add('ended')
      if (isIn) item.classList.remove('ended')
      wasIn = isIn
      item.classList.toggle('in', isIn)
      item.classList.toggle('left', state === 'left')
      item.dataset.signedIn = String(isIn)
      const out = item.classList.contains('ended') ? 'Session ended' : 'Not signed in'
      status.textContent = { in: 'Signed in', left: `Still greets ${who}`, out }[state]
      for (const [index, { url, link }] of links.entries()) {
        const node = index === 0 ? '' : `, node ${index + 1}`
        link.href = isIn ? url : `${url}/login`
        link.textContent = index > 0 ? `Node ${index + 1}` : isIn ? 'Open' : 'Sign in'
        link.setAttribute('aria-label', (isIn ? `Open ${place.name}` : `Sign in at ${place.name}`) + node)
      }
    },
  }
}

/**
 * The API in a card: what it keeps of this browser's access token, and a call with that token, whoever is signed in.
 */
function apiItem(api, you, redraw) {
  const status = el('span', { class: 'status' })
  const item = el('li', { class: 'place api tone-api', 'data-place': api.clientId }, mark())
  item.append(el('span', {}, el('strong', {}, api.name), status))
  const call = you
    ? item.appendChild(el('button', { type: 'button', 'aria-label': `Call the ${api.name}` }, 'Call'))
    : undefined
  let refused = false
  let caller = null
  call?.addEventListener('click', async () => {
    call.disabled = true
    const answer = await fetch('/call', { method: 'POST' }).catch(() => undefined)
    refused = answer?.ok === true && (await answer.json()).status === 401
    call.disabled = false
    await redraw()
  })
  return {
    item,
    update({ id, hasToken, kept }) {
      if (id !== null && id !== caller) refused = false
      if (id !== null) caller = id
      if (call) call.hidden = !hasToken
      if (item.classList.contains('in') && !kept) item.classList.add('ended')
      if (kept) item.classList.remove('ended')
      item.classList.toggle('in', Boolean(kept))
      status.textContent = kept ? keptText(kept) : apiStatus(refused, item.classList.contains('ended'))
    },
  }
}

function keptText({ until, calls }) {
  const time = new Date(until * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
  return `Kept until ${time}, ${calls === 1 ? '1 call' : `${calls} calls`}`
}

function apiStatus(refused, ended) {
  if (refused) return 'Access token refused'
  return ended ? 'Claims ended' : 'No claims kept'
}

function browserCard({ places, api }, you, redraw) {
  const avatar = el('span', { class: 'avatar', 'aria-hidden': 'true' })
  const title = el('h3')
  const where = el('p')
  const logout = logoutForm(redraw)
  const items = [PROVIDER, ...places].map((place) => ({ place, ...placeItem(place, you) }))
  const atApi = apiItem(api, you, redraw)
  const header = el('header', {}, avatar, el('div', { class: 'who' }, title, where))
  if (you) header.append(logout.form)
  const list = el(
    'ul',
    { class: 'places' },
    ...items.flatMap(({ place, item }) => (place.usesApi ? [item, atApi.item] : [item])),
  )
  return {
    element: el('article', { class: you ? 'browser you' : 'browser' }, header, list),
    update(signOn) {
      const { name, atOp, signedInAt, leftAt } = signOn
      this.element.dataset.name = name ?? ''
      this.element.classList.toggle('over', !you && !atOp)
      avatar.textContent = name ? name.slice(0, 1) : '?'
      avatar.classList.toggle('nobody', !atOp)
      title.textContent = name ?? 'Nobody is signed in'
      const over = name && !atOp ? ', logged out at the provider' : ''
      where.textContent = (you ? 'This browser' : 'Another browser') + over
      logout.allow(atOp)
      for (const { place, update } of items) update(stateAt(place, { atOp, signedInAt, leftAt }), name)
      atApi.update(signOn)
    },
  }
}

function stateAt(place, { atOp, signedInAt, leftAt }) {
  if (place === PROVIDER) return atOp ? 'in' : 'out'
  if (!signedInAt.includes(place.clientId)) return 'out'
  return leftAt.includes(place.clientId) ? 'left' : 'in'
}

/** Without this script it would lead to the provider's own page with the same button. */
function logoutForm(redraw) {
  const button = el('button', { 'aria-describedby': 'why-not' }, 'Log out everywhere')
  const whyNot = el('p', { id: 'why-not' })
  const form = el('form', { class: 'everywhere', action: '/session/end' }, button, whyNot)
  // It keeps its place in the order of the keyboard, and says why it does nothing.
  const allow = (isAllowed) => {
    button.setAttribute('aria-disabled', String(!isAllowed))
    whyNot.textContent = isAllowed ? '' : 'Nobody is signed in at the provider.'
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (button.getAttribute('aria-disabled') === 'true') return
    button.setAttribute('aria-disabled', 'true')
    logOutEverywhere().then(redraw, () => form.submit())
  })
  return { form, allow }
}

/** OpenID Connect RP-Initiated Logout at the provider: its question, answered with yes. */
async function logOutEverywhere() {
  const question = await (await fetch('/session/end', { headers: { Accept: 'text/html' } })).text()
  const [, action] = question.match(/<form id="op.logoutForm"[^>]* action="([^"]+)"/)
  const [, xsrf] = question.match(/name="xsrf" value="([^"]+)"/)
  const { pathname } = new URL(action, location.href)
  const done = await fetch(pathname, { method: 'POST', body: new URLSearchParams({ xsrf, logout: 'yes' }) })
  if (!done.ok) throw new Error('The provider did not log out')
}

/** Cards by sign-on, this browser's under `you`: it stays whoever is signed in. */
const cards = new Map()
const NOBODY = { id: null, name: null, atOp: false, signedInAt: [], leftAt: [], kept: null, hasToken: false }

/** Draws the state; `redraw` is called after whatever a card's buttons did. */
export function drawBoard(state, redraw) {
  const { thisBrowser, here, signOns } = state
  const show = (id, signOn) => {
    let card = cards.get(id)
    if (!card) {
      card = browserCard(state, id === 'you', redraw)
      cards.set(id, card)
      board.append(card.element)
    }
    card.update(signOn)
  }
  const others = signOns.filter(({ id }) => id !== thisBrowser)
  const own = signOns.find(({ id }) => id === thisBrowser) ?? NOBODY
  show('you', { ...own, ...here })
  for (const [id, card] of cards) {
    if (id === 'you' || others.some((signOn) => signOn.id === id)) continue
    if (id === thisBrowser) card.element.remove()
    else sayFarewell(card)
    cards.delete(id)
  }
  for (const signOn of others) show(signOn.id, { ...signOn, leftAt: signOn.atOp ? [] : signOn.signedInAt })
  board.setAttribute('aria-busy', 'false')
}

function sayFarewell(card) {
  card.element.classList.add('gone')
  card.update({ ...NOBODY, name: card.element.dataset.name })
  setTimeout(() => card.element.remove(), FAREWELL_MS)
}
