// The last Logout Token, decoded, and a row for each check: who made it, and how far the token came.
import { el } from './element.js'

const token = document.getElementById('token')
const nothing = document.getElementById('no-token')

const SIGNS = { passed: ['✓', 'passed'], failed: ['✗', 'failed'], unseen: ['not checked'] }
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

let drawn = ''

/** The last token about this visitor of an application with this package, beside what the one by hand made of its own. */
export function drawTokens({ tokens, places }) {
  const compared = [places.find(({ byHand }) => !byHand), places.find(({ byHand }) => byHand)]
    .flatMap((place) =>
      place ? [{ place, exchange: tokens.find(({ clientId }) => clientId === place.clientId) }] : [],
    )
    .filter(({ exchange }) => exchange)
  const now = JSON.stringify(compared)
  if (compared.length === 0 || now === drawn) return
  drawn = now
  nothing.hidden = true
  token.hidden = false
  token.replaceChildren(decoded(compared[0]), checks(compared))
}

function decoded({ place, exchange: { header, claims } }) {
  const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB')
  const rows = [
    ['alg', header.alg, 'how it is signed'],
    ['kid', header.kid, 'by which key'],
    ['typ', header.typ, 'what kind of token it is'],
    ['iss', claims.iss, 'who says so: the provider'],
    ['aud', claims.aud, 'to whom: this application'],
    ['sub', claims.sub, 'the user'],
    ['sid', claims.sid, 'the sign-on: this browser, no other device'],
    ['events', claims.events && EVENT in claims.events ? EVENT : claims.events && 'another', 'what happened: a logout'],
    ['nonce', claims.nonce, 'of a sign-in: no Logout Token has one'],
    ['iat', claims.iat && `${claims.iat}`, claims.iat && `issued at ${time(claims.iat)}`],
    ['exp', claims.exp && `${claims.exp}`, claims.exp && `good until ${time(claims.exp)}`],
    ['jti', claims.jti, 'its own id, so that it counts once'],
  ]
  const list = rows.map(([name, value, means]) =>
    value === undefined
      ? ''
      : el('div', {}, el('dt', {}, name), el('dd', {}, el('code', {}, value), el('span', { class: 'means' }, means))),
  )
  return el(
    'div',
    {},
    el('p', { class: 'token-head' }, `The last one that ${place.name} got:`),
    el('dl', { class: 'claims' }, ...list),
  )
}

function checks(compared) {
  const [{ exchange: first }] = compared
  const cell = ({ state }) => {
    const [sign, words] = SIGNS[state]
    if (words === undefined) return el('td', { class: 'state unchecked' }, sign)
    return el(
      'td',
      { class: `state ${state}` },
      el('span', { 'aria-hidden': 'true' }, sign),
      el('span', { class: 'unseen' }, words),
    )
  }
  const rows = first.checks.map(({ title, section }, index) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, title),
      el('td', { class: 'section' }, section),
      ...compared.map(({ exchange }) => cell(exchange.checks[index])),
    ),
  )
  const answers = compared.map(({ exchange }) => el('td', { class: 'state' }, `${exchange.status ?? 'none'}`))
  const heads = compared.map(({ place }) => el('th', { class: 'state', scope: 'col' }, place.name))
  const head = el(
    'tr',
    {},
    el('th', { scope: 'col' }, 'Check'),
    el('th', { class: 'section', scope: 'col' }, 'Section'),
  )
  head.append(...heads)
  return el(
    'table',
    { class: 'checks' },
    el(
      'caption',
      {},
      'Each application got one of its own. Who looked at what (BCL: OpenID Connect Back-Channel Logout 1.0):',
    ),
    el('thead', {}, head),
    el('tbody', {}, ...rows),
    el('tfoot', {}, el('tr', {}, el('th', { scope: 'row' }, 'Answered'), el('td', { class: 'section' }), ...answers)),
  )
}
