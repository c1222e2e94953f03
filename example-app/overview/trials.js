// What goes wrong, a button each. The server does it in this browser's place and hands its cookies back. Until it has,
// this browser does not know its own sessions, so nothing is drawn while a trial runs.
import { clock, el } from './element.js'

const list = document.getElementById('trial-list')
const verdict = document.getElementById('verdict')
const buttons = []
const items = new Map()
/** How long one sees who is signed in before it goes wrong. */
const LOOK_MS = 600
let running = false
let isWaiting = false

export const isTrialRunning = () => running

/**
 * Makes the button run a trial: `began`, then `signedIn` if it begins with somebody who is, and `over` when the page
 * shows what came of it, with whether there is anything.
 */
export function runsTrial(button, { id, signsIn }, redraw, { began = () => {}, signedIn = () => {}, over = () => {} }) {
  buttons.push(button)
  // From now on a press counts, unless a trial runs already.
  drawWaiting()
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return
    wait(true)
    verdict.textContent = ''
    for (const old of document.querySelectorAll('.latest')) old.classList.remove('latest')
    began()
    let report
    try {
      if (signsIn) {
        await post('/trials/sign-in')
        await redraw()
        signedIn()
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
      running = true
      report = await post(`/trials/${id}`)
    } catch {
      verdict.textContent = 'It could not be tried; try again.'
    }
    running = false
    await redraw().catch(() => {})
    wait(false)
    if (report) verdict.textContent = report.outcomes.map((outcome) => said(report, outcome)).join(' ')
    over(report !== undefined)
  })
}

async function post(path) {
  const answer = await fetch(path, { method: 'POST' })
  if (!answer.ok) throw new Error('The trial failed')
  return answer.json()
}

/** One at a time. The buttons keep the focus, which `disabled` would take away. */
function wait(isLong) {
  isWaiting = isLong
  drawWaiting()
}

function drawWaiting() {
  for (const button of buttons) button.setAttribute('aria-disabled', String(isWaiting))
}

const said = ({ id, who }, { name, status, text }) =>
  id === 'upload' ? `${name}: ${headline(who, status)}. ${text}` : `${name}: ${text}`

/** What an application answered, when it was asked who is signed in. */
export const headline = (who, status) => (status === 200 ? `Still greets ${who}` : `${who} is signed out`)

/** All but the first, which has a place of its own. */
export function showTrials(trials, redraw) {
  list.replaceChildren(...trials.map((trial) => trialItem(trial, redraw)))
}

function trialItem({ id, title, about, signsIn }, redraw) {
  const button = el('button', { type: 'button' }, el('strong', {}, title), el('span', { class: 'about' }, about))
  const outcomes = el('div', { class: 'outcomes', hidden: '' })
  const item = el('li', { class: 'trial', 'data-trial': id }, button, outcomes)
  items.set(id, { item, outcomes })
  const failed = el('p', { hidden: '' }, 'It could not be tried; try again.')
  item.append(failed)
  runsTrial(button, { id, signsIn }, redraw, {
    began: () => item.classList.add('running'),
    over: (isReported) => {
      item.classList.remove('running')
      failed.hidden = isReported
    },
  })
  return item
}

/** What came of each when it was last run. Only the last of all is of now. */
export function drawReports({ reports }) {
  for (const report of reports) {
    const { item, outcomes } = items.get(report.id) ?? {}
    if (!item) continue
    item.classList.add('done')
    item.classList.toggle('latest', report === reports.at(-1))
    outcomes.hidden = false
    const rows = el('dl', {}, ...report.outcomes.map(outcomeRow))
    outcomes.replaceChildren(el('p', { class: 'was' }, `An earlier result, of ${clock(report.at)}:`), rows)
  }
}

function outcomeRow({ name, good, text }) {
  const how = el('span', { class: 'unseen' }, good ? ' right: ' : ' wrong: ')
  return el('div', { class: good ? 'good' : 'bad' }, el('dt', {}, name, how), el('dd', {}, text))
}
