// What happened, from left to right, oldest first: one episode at a time, in milliseconds from its beginning. Whoever
// speaks next begins a column: a browser, the provider, the applications.
import { clock, el, warning } from './element.js'

/** After such a silence another episode begins. */
const SILENCE_MS = 3000

const list = document.getElementById('activity')
const when = document.getElementById('when')
const [earlier, later] = ['earlier', 'later'].map((id) => document.getElementById(id))

/** Each with its entries, oldest first. */
const episodes = []
let shown = -1
let names = new Map()

export function nameSources(sources) {
  names = sources
}

/** What should not have happened, in the episode that is shown. */
export const revealed = () => document.getElementById('moment') ?? undefined

const isTrial = ({ source, tone }) => isBrowser(source) && tone === 'begin'
const isBrowser = (source) => source === 'you' || source === 'another'

export function addEntry(entry) {
  const last = episodes.at(-1)
  const isNew = last === undefined || isTrial(entry) || Date.parse(entry.at) - Date.parse(last.at(-1).at) > SILENCE_MS
  // One's own trial stays to be looked at, whatever another visitor begins.
  const isOther = isNew && entry.source === 'another' && episodes[shown]?.[0].source === 'you'
  const follows = shown === episodes.length - 1 && !isOther
  if (isNew) episodes.push([entry])
  else last.push(entry)
  if (!follows) return drawHead()
  if (isNew) show(episodes.length - 1)
  else append(entry)
  drawHead()
}

earlier.addEventListener('click', () => show(shown - 1))
later.addEventListener('click', () => show(shown + 1))

function show(index) {
  shown = index
  list.replaceChildren()
  for (const entry of episodes[shown]) append(entry)
  drawHead()
}

function drawHead() {
  when.textContent = `from ${clock(episodes[shown][0].at)} on, in milliseconds`
  earlier.disabled = shown === 0
  later.disabled = shown === episodes.length - 1
}

const speaker = (source) => (isBrowser(source) || source === 'op' ? source : 'applications')

function append(entry) {
  const { source, tone: how } = entry
  let phase = list.lastElementChild
  // The provider tells all applications at the same time: the first may speak before the last is told.
  const before = phase?.previousElementSibling
  if (source === 'op' && how === 'plain' && before?.dataset.speaker === 'op') phase = before
  if (phase?.dataset.speaker !== speaker(source)) {
    phase = list.appendChild(el('li', { class: 'phase', 'data-speaker': speaker(source) }))
  }
  let said = [...phase.children].find((child) => child.dataset.source === source)
  if (!said) {
    const { name, tone } = names.get(source) ?? { name: source, tone: 'you' }
    said = el('section', { class: `said tone-${tone}`, 'data-source': source }, el('h3', {}, name), el('ol'))
    const order = [...names.keys()]
    const isAfter = (child) => order.indexOf(child.dataset.source) > order.indexOf(source)
    phase.insertBefore(said, [...phase.children].find(isAfter) ?? null)
  }
  said.querySelector('ol').append(line(entry))
  if (how === 'wrong' && revealed() === undefined) {
    said.classList.add('alarm')
    said.id = 'moment'
    said.tabIndex = -1
    said.querySelector('h3').prepend(warning())
  }
}

function line({ id, at, tone, text }) {
  const after = Date.parse(at) - Date.parse(episodes[shown][0].at)
  return el(
    'li',
    { class: `entry fresh ${tone}`, 'data-entry': id },
    el('time', { datetime: at, 'aria-label': `${after} milliseconds` }, `+${after}`),
    el('span', { class: 'text' }, text),
  )
}
