// The trial that a visitor begins with: one button, and what came of it at both applications side by side.
import { clock, el, mark, warning } from './element.js'
import { revealed } from './timeline.js'
import { headline, runsTrial } from './trials.js'

const stage = document.getElementById('try')
const button = document.getElementById('primary')
const totals = document.getElementById('totals')
const sides = [...stage.querySelectorAll('.side')]
let isRunning = false

/** This page names it, so its button need not wait until the server has listed what there is to try. */
const UPLOAD = { id: 'upload', signsIn: true }

export function showStage(redraw) {
  runsTrial(button, UPLOAD, redraw, {
    began: () => {
      isRunning = true
      say('Signs in …')
    },
    signedIn: () => say('Signed in; the upload begins …'),
    over: (isReported) => {
      isRunning = false
      if (isReported) reveal()
      else say('It could not be tried; try again.')
    },
  })
}

function say(text) {
  for (const side of sides) {
    side.className = 'side'
    side.querySelector('.came').replaceChildren(el('p', { class: 'pending' }, text))
  }
}

export function drawStage({ here, places, reports, totals: counted }) {
  for (const who of stage.querySelectorAll('.who')) who.textContent = here.next
  const report = reports.find(({ id }) => id === UPLOAD.id)
  if (report && isOver(report)) for (const side of sides) drawSide(side, report, places, report === reports.at(-1))
  else if (!report && !isRunning) say('Not tried yet.')
  totals.textContent = counted.length === 0 ? '' : `All trials so far. ${counted.map(total).join(' ')}`
}

let drawn
/** While it runs, what came of the run before is no answer. */
function isOver({ at }) {
  if (isRunning && at === drawn) return false
  drawn = at
  return true
}

const total = ({ name, right, runs }) =>
  right === runs ? `${name}: right in ${right} of ${runs}.` : `${name}: wrong in ${runs - right} of ${runs}.`

function drawSide(side, { who, at, outcomes }, places, isLatest) {
  const { name, clientId, good, status, text } = outcomes.find((outcome) => outcome.clientId === side.dataset.side)
  side.className = `side ${good ? 'good' : 'bad'}${isLatest ? ' latest' : ''}`
  const [url] = places.find((place) => place.clientId === clientId).urls
  const answered = status === 200 ? `${status}, ${who}` : `${status}, nobody`
  const links = [el('a', { href: url }, `See ${name}`)]
  if (isLatest && !good) links.push(' · ', el('a', { href: '#moment' }, 'See the moment'))
  const came = side.querySelector('.came')
  came.replaceChildren(
    el('p', { class: 'was' }, `An earlier result, of ${clock(at)}:`),
    el('p', { class: 'headline' }, good ? mark() : warning(), el('span', {}, headline(who, status))),
    el('p', {}, text),
    el('p', { class: 'proof' }, `Asked afterwards who is signed in, it answers ${answered}.`),
    el('p', { class: 'see' }, ...links),
  )
}

/** Both results are seen, and the moment at which it went wrong as well, where the window has room for all of it. */
function reveal() {
  const [results, wrong] = [stage.querySelector('.sides'), revealed()]
  const top = results.getBoundingClientRect().top
  const fits = wrong !== undefined && wrong.getBoundingClientRect().bottom - top <= innerHeight
  if (fits) wrong.scrollIntoView({ block: 'nearest' })
  results.scrollIntoView({ block: 'nearest' })
}
