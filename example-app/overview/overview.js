// Draws the board and the log, and presses the provider's own logout without leaving the page.

const board = document.getElementById('browsers')
const log = document.getElementById('activity')
const live = document.getElementById('live')
const PROVIDER = { clientId: 'op', name: 'Provider' }

/** The places, by client id, once they are known; they name and colour the log. */
const tones = new Map([['op', 'op']])
const names = new Map([['op', 'Provider']])
/** What the board showed last, to point at what has just ended. */
let shown = new Map()

/** An element with attributes and children; text stays text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value)
  element.append(...children.filter((child) => child !== undefined))
  return element
}

function mark() {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('class', 'mark')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  svg.innerHTML = '<circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/>'
  return svg
}

function placeItem({ place, signedIn, justOut, link }) {
  const classes = ['place', `tone-${tones.get(place.clientId)}`]
  if (signedIn) classes.push('in')
  if (justOut) classes.push('just-out')
  const status = el('span', { class: 'status' }, signedIn ? 'Signed in' : justOut ? 'Logged out' : 'Not signed in')
  return el(
    'li',
    { class: classes.join(' '), 'data-place': place.clientId, 'data-signed-in': String(signedIn) },
    mark(),
    el('span', {}, el('strong', {}, place.name), status),
    link,
  )
}

function linkTo(place, signedIn) {
  if (place.url === undefined) return undefined
  const [text, href] = signedIn ? ['Open', place.url] : ['Sign in', `${place.url}/login`]
  return el(
    'a',
    { href, id: `link-${place.clientId}`, 'aria-label': `${text === 'Open' ? 'Open' : 'Sign in at'} ${place.name}` },
    text,
  )
}

function browserCard({ signOn, you, places }) {
  const { id, name, atOp, signedInAt } = signOn
  const before = shown.get(id) ?? []
  const isIn = (place) => (place === PROVIDER ? atOp : signedInAt.includes(place.clientId))
  const where = you ? 'This browser' : atOp ? 'Another browser' : 'A session that the provider no longer knows'
  const items = [PROVIDER, ...places].map((place) =>
    placeItem({
      place,
      signedIn: isIn(place),
      justOut: !isIn(place) && before.includes(place.clientId),
      link: you ? linkTo(place, isIn(place)) : undefined,
    }),
  )
  const list = el('ul', { class: 'places' }, ...items)
  list.style.setProperty('--columns', items.length)
  return el(
    'article',
    { class: you ? 'browser you' : 'browser', 'data-sign-on': id, 'data-name': name ?? '' },
    el(
      'header',
      {},
      el('span', { class: name ? 'avatar' : 'avatar nobody', 'aria-hidden': 'true' }, name ? name.slice(0, 1) : '?'),
      el('div', { class: 'who' }, el('h3', {}, name ?? 'Nobody is signed in'), el('p', {}, where)),
      you && atOp ? logoutForm() : undefined,
    ),
    list,
  )
}

/** Without this script it would lead to the provider's own page with the same button. */
function logoutForm() {
  const button = el('button', { id: 'log-out-everywhere' }, 'Log out everywhere')
  const form = el('form', { class: 'everywhere', action: '/session/end' }, button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    button.disabled = true
    logOutEverywhere().catch(() => form.submit())
  })
  return form
}

/** OpenID Connect RP-Initiated Logout at the provider: its question, answered with yes. */
async function logOutEverywhere() {
  const question = await fetch('/session/end', { headers: { Accept: 'text/html' } })
  const form = new DOMParser().parseFromString(await question.text(), 'text/html').forms[0]
  const answer = new URLSearchParams(new FormData(form))
  answer.set('logout', 'yes')
  const done = await fetch(form.getAttribute('action'), { method: 'POST', body: answer })
  if (!done.ok) throw new Error('The provider did not log out')
  await draw()
}

async function draw() {
  const { places, thisBrowser, signOns } = await (await fetch('/state')).json()
  places.forEach(({ clientId, name }, index) => {
    tones.set(clientId, String((index % 2) + 1))
    names.set(clientId, name)
  })
  const yours = signOns.find(({ id }) => id === thisBrowser) ?? { id: 'nobody', atOp: false, signedInAt: [] }
  const others = signOns.filter(({ id }) => id !== thisBrowser)
  const focused = document.activeElement?.id
  board.replaceChildren(
    browserCard({ signOn: yours, you: true, places }),
    ...others.map((signOn) => browserCard({ signOn, you: false, places })),
  )
  if (focused) document.getElementById(focused)?.focus()
  board.setAttribute('aria-busy', 'false')
  shown = new Map(signOns.map(({ id, atOp, signedInAt }) => [id, atOp ? ['op', ...signedInAt] : signedInAt]))
}

function addEntry({ id, at, source, tone, text }) {
  const when = new Date(at)
  const clock = when.toLocaleTimeString([], { hour12: false })
  const entry = el(
    'li',
    { class: `entry fresh ${tone} tone-${tones.get(source) ?? 'op'}`, 'data-entry': id },
    el('span', { class: 'source' }, names.get(source) ?? source),
    el('span', {}, el('span', { class: 'text' }, text), el('time', { datetime: at }, clock)),
  )
  log.prepend(entry)
}

/** Only while somebody looks: a browser allows few connections to one origin, and the provider's pages need some. */
let stream
let lastId = 0
function connect() {
  stream = new EventSource('/events')
  stream.addEventListener('open', () => {
    live.textContent = 'Live'
    live.classList.add('on')
    void draw()
  })
  stream.addEventListener('error', () => {
    live.textContent = 'Connecting'
    live.classList.remove('on')
  })
  stream.addEventListener('changed', () => void draw())
  stream.addEventListener('activity', ({ data }) => {
    const entry = JSON.parse(data)
    if (entry.id <= lastId) return
    lastId = entry.id
    addEntry(entry)
  })
}

document.addEventListener('visibilitychange', () => {
  stream.close()
  if (document.visibilityState === 'visible') connect()
})

await draw()
connect()
