// Asks for the state, listens for what happens, and lets each section draw its part.
import { drawBoard, PROVIDER } from './board.js'
import { drawStage, showStage } from './stage.js'
import { addEntry, nameSources } from './timeline.js'
import { drawTokens } from './tokens.js'
import { drawReports, isTrialRunning, showTrials } from './trials.js'

const live = document.getElementById('live')
const second = document.getElementById('second')

let waiting
let last = Promise.resolve()

/** Resolves when a state is drawn that was asked for after this call. Calls that wait for their turn share one. */
function draw() {
  waiting ??= last.then(() => {
    waiting = undefined
    return look()
  })
  last = waiting.catch(() => {})
  return waiting
}

async function look() {
  if (isTrialRunning()) return
  const state = await (await fetch('/state')).json()
  if (isTrialRunning()) return
  const places = state.places.map((place, index) => ({ ...place, tone: String((index % 3) + 1) }))
  const api = { ...state.api, tone: 'api' }
  const browsers = [
    { clientId: 'you', name: 'Browser', tone: 'you' },
    { clientId: 'another', name: 'Another browser', tone: 'you' },
  ]
  const all = [PROVIDER, ...places, api, ...browsers]
  nameSources(new Map(all.map((source) => [source.clientId, source])))
  second.href = state.secondBrowser
  second.parentElement.hidden = false
  drawBoard({ ...state, places, api }, draw)
  drawTokens({ ...state, places })
  drawStage(state)
  drawReports(state)
}

let stream
let lastId = 0

function connect() {
  stream?.close()
  stream = new EventSource('/events')
  stream.addEventListener('open', () => {
    live.textContent = 'Live'
    live.classList.add('on')
    drawAll()
  })
  stream.addEventListener('error', () => {
    live.textContent = 'Not connected'
    live.classList.remove('on')
  })
  stream.addEventListener('changed', drawAll)
  stream.addEventListener('activity', ({ data }) => {
    const entry = JSON.parse(data)
    if (entry.id <= lastId) return
    lastId = entry.id
    addEntry(entry)
  })
}

const AGAIN_MS = 1000

let again
let areTrialsShown = false

/** What could not be had is asked for again. */
async function drawAll() {
  clearTimeout(again)
  try {
    await draw()
    if (areTrialsShown) return
    const trials = await (await fetch('/trials')).json()
    if (areTrialsShown) return
    areTrialsShown = true
    showTrials(
      trials.filter(({ id }) => id !== 'upload'),
      draw,
    )
    await draw()
  } catch {
    clearTimeout(again)
    again = setTimeout(drawAll, AGAIN_MS)
  }
}

// Only while somebody looks: a browser allows few connections to one origin, and the provider's pages need some.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') connect()
  else stream?.close()
})

// Before anything is asked for: to the browser the page is loaded once this script waits for an answer, and from then
// on a press has to count.
showStage(draw)
if (document.visibilityState === 'visible') connect()
drawAll()
