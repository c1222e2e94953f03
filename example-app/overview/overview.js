// Draws the board and the log, and presses the provider's own logout without leaving the page.

const board = document.getElementById('browsers')
const log = document.getElementById('activity')
const live = document.getElementById('live')

const PROVIDER = { clientId: 'op', name: 'Provider', tone: 'op' }
/** How long a card stays after its last session ended, so that one sees it end. */
const FAREWELL_MS = 4000

/** An element with attributes and children; text stays text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

function mark() {
  const template = el('template')
  template.innerHTML =
    '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/></svg>'
  return template.content
}

/** One place in a card. It is updated, never replaced, so that what changes can be seen to change. */
function placeItem(place, you) {
  const status = el('span', { class: 'status' })
  const item = el('li', { class: `place tone-${place.tone}`, 'data-place': place.clientId }, mark())
  item.append(el('span', {}, el('strong', {}, place.name), status))
  const links = you ? (place.urls ?? []).map((url) => ({ url, link: el('a') })) : []
  item.append(el('span', { class: 'links' }, ...links.map(({ link }) => link)))
  let wasIn = false
  return {
    item,
    update(isIn) {
      if (wasIn && !isIn) item.classList.add('ended')
      if (isIn) item.classList.remove('ended')
      wasIn = isIn
      item.classList.toggle('in', isIn)
      item.dataset.signedIn = String(isIn)
      status.textContent = isIn ? 'Signed in' : item.classList.contains('ended') ? 'Session ended' : 'Not signed in'
      for (const [index, { url, link }] of links.entries()) {
        const node = index === 0 ? '' : `, node ${index + 1}`
        link.href = isIn ? url : `${url}/login`
        link.textContent = index > 0 ? `Node ${index + 1}` : isIn ? 'Open' : 'Sign in'
        link.setAttribute('aria-label', (isIn ? `Open ${place.name}` : `Sign in at ${place.name}`) + node)
      }
    },
  }
}

/** The API in a card: what it keeps of this browser's access token, and a call with that token, whoever is signed in. */
function apiItem(api, you) {
  const status = el('span', { class: 'status' })
  const item = el('li', { class: 'place api tone-3', 'data-place': api.clientId }, mark())
  item.append(el('span', {}, el('strong', {}, api.name), status))
  const call = you
    ? item.appendChild(el('button', { type: 'button', 'aria-label': `Call the ${api.name}` }, 'Call'))
    : undefined
  let caller = null
  let refused = false
  call?.addEventListener('click', async () => {
    call.disabled = true
    const answer = await fetch(`/call?as=${encodeURIComponent(caller)}`, { method: 'POST' }).catch(() => undefined)
    refused = answer?.ok === true && (await answer.json()).status === 401
    call.disabled = false
    await draw()
  })
  return {
    item,
    update({ id, hasToken, kept }) {
      if (hasToken && id !== caller) refused = false
      if (hasToken) caller = id
      if (call) call.hidden = caller === null
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

function browserCard(places, api, you) {
  const avatar = el('span', { class: 'avatar', 'aria-hidden': 'true' })
  const title = el('h3')
  const where = el('p')
  const logout = logoutForm()
  const items = [PROVIDER, ...places].map((place) => ({ place, ...placeItem(place, you) }))
  const atApi = apiItem(api, you)
  const header = el('header', {}, avatar, el('div', { class: 'who' }, title, where))
  if (you) header.append(logout)
  const list = el(
    'ul',
    { class: 'places' },
    ...items.flatMap(({ place, item }) => (place.usesApi ? [item, atApi.item] : [item])),
  )
  return {
    element: el('article', { class: you ? 'browser you' : 'browser' }, header, list),
    update(signOn) {
      const { name, atOp, signedInAt } = signOn
      this.element.dataset.name = name ?? ''
      avatar.textContent = name ? name.slice(0, 1) : '?'
      avatar.classList.toggle('nobody', !name)
      title.textContent = name ?? 'Nobody is signed in'
      where.textContent = you ? 'This browser' : atOp ? 'Another browser' : 'Not signed in at the provider any more'
      logout.hidden = !atOp
      for (const { place, update } of items) update(place === PROVIDER ? atOp : signedInAt.includes(place.clientId))
      atApi.update(signOn)
    },
  }
}

/** Without this script it would lead to the provider's own page with the same button. */
function logoutForm() {
  const button = el('button', {}, 'Log out everywhere')
  const form = el('form', { class: 'everywhere', action: '/session/end' }, button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    button.disabled = true
    logOutEverywhere()
      .catch(() => form.submit())
      .finally(() => {
        button.disabled = false
      })
  })
  return form
}

/** OpenID Connect RP-Initiated Logout at the provider: its question, answered with yes. */
async function logOutEverywhere() {
  const question = await (await fetch('/session/end', { headers: { Accept: 'text/html' } })).text()
  const [, action] = question.match(/<form id="op.logoutForm"[^>]* action="([^"]+)"/)
  const [, xsrf] = question.match(/name="xsrf" value="([^"]+)"/)
  const done = await fetch(action, { method: 'POST', body: new URLSearchParams({ xsrf, logout: 'yes' }) })
  if (!done.ok) throw new Error('The provider did not log out')
  await draw()
}

/** Cards by sign-on, this browser's under `you`: it stays whoever is signed in. */
const cards = new Map()
const NOBODY = { id: null, atOp: false, signedInAt: [], kept: null, hasToken: false }

function show(id, signOn, places, api) {
  let card = cards.get(id)
  if (!card) {
    card = browserCard(places, api, id === 'you')
    cards.set(id, card)
    board.append(card.element)
  }
  card.update(signOn)
}

function sayFarewell(id, card) {
  cards.delete(id)
  card.element.classList.add('gone')
  card.update({ ...NOBODY, name: card.element.dataset.name })
  setTimeout(() => card.element.remove(), FAREWELL_MS)
}

const sources = new Map([[PROVIDER.clientId, PROVIDER]])
let drawing = 0

async function draw() {
  drawing += 1
  const turn = drawing
  const { places, api, thisBrowser, signOns } = await (await fetch('/state')).json()
  if (turn !== drawing) return
  const toned = places.map((place, index) => ({ ...place, tone: String((index % 2) + 1) }))
  for (const place of toned) sources.set(place.clientId, place)
  sources.set(api.clientId, { ...api, tone: '3' })
  const others = signOns.filter(({ id }) => id !== thisBrowser)
  show('you', signOns.find(({ id }) => id === thisBrowser) ?? NOBODY, toned, api)
  for (const [id, card] of cards) {
    if (id === 'you' || others.some((signOn) => signOn.id === id)) continue
    if (id === thisBrowser) card.element.remove()
    else sayFarewell(id, card)
  }
  for (const signOn of others) show(signOn.id, signOn, toned, api)
  board.setAttribute('aria-busy', 'false')
}

function addEntry({ id, at, source, tone, text }) {
  const from = sources.get(source) ?? { name: source, tone: 'op' }
  const time = new Date(at).toLocaleTimeString('en-GB')
  const entry = el(
    'li',
    { class: `entry fresh ${tone} tone-${from.tone}`, 'data-entry': id },
    el('span', { class: 'source' }, from.name),
    el('span', { class: 'text' }, text),
    el('time', { datetime: at }, time),
  )
  log.prepend(entry)
}

let stream
let lastId = 0

function connect() {
  stream = new EventSource('/events')
  stream.addEventListener('open', () => {
    live.textContent = 'Live'
    live.classList.add('on')
    draw()
  })
  stream.addEventListener('error', () => {
    live.textContent = 'Not connected'
    live.classList.remove('on')
  })
  stream.addEventListener('changed', draw)
  stream.addEventListener('activity', ({ data }) => {
    const entry = JSON.parse(data)
    if (entry.id <= lastId) return
    lastId = entry.id
    addEntry(entry)
  })
}

// Only while somebody looks: a browser allows few connections to one origin, and the provider's pages need some.
document.addEventListener('visibilitychange', () => {
  stream.close()
  if (document.visibilityState === 'visible') connect()
})

await draw()
connect()
