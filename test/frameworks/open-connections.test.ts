// Connections that are open while a logout comes, in the recipes for server-sent events, ws and Socket.IO: they end
// with their session, whoever comes back meets the end of it, and nobody else notices.
import { once } from 'node:events'
import { io } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { Browser } from '../stacks/browser.js'
import { type Gate, startGate } from '../stacks/gate.js'
import { logOutAtTheOp, type Stack, signIn, startStack, who } from '../stacks/stack.js'
import { HERE } from './programs.js'

interface Connection {
  /** Resolves when the other side has ended it. */
  readonly ended: Promise<unknown>
  /** Whether it still carries what is sent. */
  carries(): Promise<boolean>
  close(): void
}

/** Opens a connection with these cookies, or resolves to why it was refused. */
type Connect = (origin: string, cookie: string) => Promise<Connection | string>

const openStream: Connect = async (origin, cookie) => {
  const gone = new AbortController()
  const response = await fetch(`${origin}/events`, { headers: { cookie }, signal: gone.signal })
  if (response.status !== 200 || response.body === null) return String(response.status)
  const events = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const received: string[] = []
  const waiting = new Set<() => void>()
  const reading = (async () => {
    for (let next = await events.read(); !next.done; next = await events.read()) {
      received.push(next.value)
      for (const tell of waiting) tell()
    }
  })()
  const ended = reading.catch(() => {})
  const heard = async (text: string): Promise<boolean> => {
    let over = false
    ended.then(() => {
      over = true
    })
    for (;;) {
      if (received.join('').includes(text)) return true
      if (over) return false
      await Promise.race([new Promise<void>((tell) => waiting.add(tell)), ended])
    }
  }
  await heard('welcome')
  return {
    ended,
    carries: async () => {
      received.length = 0
      await fetch(`${origin}/announcements`, { method: 'POST' })
      return heard('hello')
    },
    close: () => gone.abort(),
  }
}

const openWebSocket: Connect = async (origin, cookie) => {
  const socket = new WebSocket(origin.replace('http', 'ws'), { headers: { cookie } })
  const refused = new Promise<string>((resolve) => {
    socket.on('unexpected-response', (_request, response) => resolve(String(response.statusCode)))
  })
  socket.on('error', () => {})
  const outcome = await Promise.race([refused, once(socket, 'message')])
  if (typeof outcome === 'string') return outcome
  const ended = once(socket, 'close')
  return {
    ended,
    carries: async () => {
      socket.send('hello')
      const answer = await Promise.race([once(socket, 'message'), ended.then(() => ['nothing'])])
      return String(answer[0]).endsWith('said hello')
    },
    close: () => socket.terminate(),
  }
}

const openSocketIo =
  (transports: string[]): Connect =>
  async (origin, cookie) => {
    const socket = io(origin, { extraHeaders: { cookie }, reconnection: false, forceNew: true, transports })
    const refused = new Promise<string>((resolve) => socket.on('connect_error', (error) => resolve(error.message)))
    const welcome = new Promise<void>((resolve) => socket.on('welcome', resolve))
    const ended = new Promise((resolve) => socket.on('disconnect', resolve))
    const outcome = await Promise.race([refused, welcome, ended])
    if (typeof outcome === 'string') {
      socket.close()
      return outcome
    }
    return {
      ended,
      carries: async () => {
        const answered = socket.emitWithAck('say', 'hello').then(String)
        return (await Promise.race([answered, ended.then(() => 'nothing')])).endsWith('said hello')
      },
      close: () => socket.close(),
    }
  }

interface Kind {
  readonly recipe: string
  readonly connect: Connect
  readonly refusal: string
}

const KINDS: Readonly<Record<string, Kind>> = {
  'server-sent events': { recipe: 'server-sent-events', connect: openStream, refusal: '401' },
  ws: { recipe: 'ws', connect: openWebSocket, refusal: '401' },
  'Socket.IO over WebSocket': {
    recipe: 'socket-io',
    connect: openSocketIo(['websocket']),
    refusal: 'Nobody is signed in.',
  },
  'Socket.IO over long polling': {
    recipe: 'socket-io',
    connect: openSocketIo(['polling']),
    refusal: 'Nobody is signed in.',
  },
}

describe.each(Object.entries(KINDS))('%s', (_name, { recipe, connect, refusal }) => {
  let stack: Stack
  const open: Connection[] = []

  beforeAll(async () => {
    stack = await startStack(recipe, HERE)
  })

  afterEach(() => {
    for (const connection of open.splice(0)) connection.close()
  })

  afterAll(() => stack?.stop())

  async function connected(browser: Browser): Promise<Connection> {
    const connection = await connect(stack.origin, browser.cookie(stack.origin))
    if (typeof connection === 'string') throw new Error(`refused: ${connection}`)
    open.push(connection)
    return connection
  }

  it('a logout at the OP disconnects every connection of that session, and no other', async () => {
    const laptop = await signIn(stack, 'ada')
    const [tab, otherTab] = [await connected(laptop), await connected(laptop)]
    const phone = await connected(await signIn(stack, 'ada'))
    const grace = await connected(await signIn(stack, 'grace'))
    expect(await tab.carries()).toBe(true)
    await logOutAtTheOp(stack, laptop)
    await Promise.all([tab.ended, otherTab.ended])
    expect(await phone.carries()).toBe(true)
    expect(await grace.carries()).toBe(true)
  })

  it('who comes back in the very moment of being disconnected is refused', async () => {
    const laptop = await signIn(stack, 'ada')
    const cookie = laptop.cookie(stack.origin)
    const tab = await connected(laptop)
    const back = tab.ended.then(() => connect(stack.origin, cookie))
    await logOutAtTheOp(stack, laptop)
    expect(await back).toBe(refusal)
    expect(await connect(stack.origin, cookie)).toBe(refusal)

    await signIn(stack, 'ada', laptop)
    expect(await (await connected(laptop)).carries()).toBe(true)
    expect(await connect(stack.origin, cookie)).toBe(refusal)
  })

  it('a local logout disconnects as well', async () => {
    const laptop = await signIn(stack, 'ada')
    const tab = await connected(laptop)
    const phone = await connected(await signIn(stack, 'ada'))
    await laptop.post(`${stack.origin}/logout`)
    await tab.ended
    expect(await phone.carries()).toBe(true)
  })

  it('signing in again in the same browser leaves no connection behind that a logout would not find', async () => {
    const laptop = await signIn(stack, 'ada')
    const before = await connected(laptop)
    await signIn(stack, 'ada', laptop)
    await before.ended
    const after = await connected(laptop)
    await logOutAtTheOp(stack, laptop)
    await after.ended
  })

  it('nobody connects without a session', async () => {
    expect(await connect(stack.origin, 'connect.sid=none')).toBe(refusal)
  })

  it('has nothing to complain of', async () => {
    expect(await who(stack, await signIn(stack, 'ada'))).toBe('ada')
    expect(stack.program.complaints()).toBe('')
  })
})

describe('what these tests are worth', () => {
  async function withStack(change: (code: string) => string, test: (stack: Stack) => Promise<void>): Promise<void> {
    const stack = await startStack('server-sent-events', { ...HERE, change })
    try {
      await test(stack)
    } finally {
      await stack.stop()
    }
  }

  it('without the hook, a connection outlives its session', () =>
    withStack(
      (code) => code.replace(/^.*onSessionsEnded: .*$/m, ''),
      async (stack) => {
        const laptop = await signIn(stack, 'ada')
        const tab = await openStream(stack.origin, laptop.cookie(stack.origin))
        if (typeof tab === 'string') throw new Error(`refused: ${tab}`)
        await logOutAtTheOp(stack, laptop)
        expect(await who(stack, laptop)).toBe(401)
        expect(await tab.carries()).toBe(true)
        tab.close()
      },
    ))

  /** Holds the request between the moment its session was read and the moment its connection is on the list. */
  const held = (code: string, gate: Gate) =>
    code.replace(
      "app.get('/events', (req, res) => {",
      `app.get('/events', async (req, res) => {\n  await fetch('${gate.url}')`,
    )
  const unasked = (code: string) =>
    code.replace('req.session.reload((error) => {', 'void (() => { let error').replace(/(welcome.*\n {2}\})\)/, '$1)()')

  it.each([
    { what: 'a logout while a connection is being opened is not missed', change: held, outcome: '401' },
    {
      what: 'and would be, if the session were not asked about once more',
      change: (code: string, gate: Gate) => unasked(held(code, gate)),
      outcome: 'open',
    },
  ])('$what', async ({ change, outcome }) => {
    const gate = await startGate()
    await withStack(
      (code) => change(code, gate),
      async (stack) => {
        const laptop = await signIn(stack, 'ada')
        const reached = gate.hold()
        const opening = openStream(stack.origin, laptop.cookie(stack.origin))
        await reached
        await logOutAtTheOp(stack, laptop)
        gate.open()
        const connection = await opening
        expect(typeof connection === 'string' ? connection : 'open').toBe(outcome)
        if (typeof connection !== 'string') connection.close()
      },
    )
    await gate.close()
  })
})
