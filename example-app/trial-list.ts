// The trials of the demo, one a button. What stands here is what happens to every application; the words are chosen by
// what came of it.
import { afterwards, logoutClaims, type Run, type Trial, type Tried } from './trials.js'

const RECEIVER = '/backchannel-logout'
const FINISHED_WITHIN_MS = 15_000

export const TRIALS: readonly Trial[] = [
  {
    id: 'upload',
    title: 'Log out during an upload',
    about: 'A request that began before the logout writes its session when it is done.',
    signsIn: true,
    run: async (run) => {
      run.say('Begins an upload at each application')
      run.uploads.close()
      const uploads = Promise.all(
        run.tried.map(({ url }) => run.browser.request(`${url}/upload`, { method: 'POST' }).then((res) => res.text())),
      )
      await run.uploads.reached(run.tried.length, uploads)
      await run.logOut()
      run.say('The uploads finish')
      run.uploads.open()
      await uploads
      return afterwards(run, 401, () => ({
        good: 'The upload finished after the logout. It could not save the session that had ended.',
        bad: 'It had ended the session. Then the upload finished and saved the copy that it had read at its beginning.',
      }))
    },
  },
  {
    id: 'during-sign-in',
    title: 'Log out during a sign-in',
    about: 'The logout arrives before there is a session that it could end.',
    signsIn: false,
    run: async (run) => {
      const { browser, tried, sub, tokens } = run
      run.say('Signs in at each application')
      const callbacks: string[] = []
      for (const { url } of tried) callbacks.push((await browser.signIn(url, sub, '/callback')).url.href)
      tokens.close()
      const arrivals = Promise.all(callbacks.map((callback) => browser.navigate(callback)))
      await tokens.reached(tried.length, arrivals)
      await run.logOut()
      run.say('The sign-ins arrive')
      tokens.open()
      await arrivals
      return afterwards(run, 401, () => ({
        good: 'Nobody is signed in. The sign-in heard of its own logout.',
        bad: `Greets ${run.who}: the logout found no session, and was forgotten.`,
      }))
    },
  },
  {
    id: 'store-down',
    title: 'The database is down',
    about: 'The applications cannot end a session just now. What do they answer?',
    signsIn: true,
    run: async (run) => {
      run.outage.down = true
      run.say('The databases are down')
      await run.logOut()
      const answers = run.deliveries.last(run.visitor.id)
      const pages = new Map<string, number>()
      for (const { clientId, url } of run.tried) pages.set(clientId, (await run.browser.whoAt(url)).status)
      const done = finished(run)
      run.outage.down = false
      run.say('The databases are back')
      await done
      return afterwards(run, 401, ({ clientId }) => ({
        good: `Told the provider ${answers[clientId]?.status} and the browser ${pages.get(clientId)}; finished by itself as soon as it could.`,
        bad: `Still greets ${run.who}: told the provider ${answers[clientId]?.status}, and ended nothing.`,
      }))
    },
  },
  {
    id: 'retry',
    title: 'The provider tries again',
    about: 'It sends the same token again to whoever did not answer 200.',
    signsIn: true,
    run: async (run) => {
      run.outage.down = true
      run.say('The databases are down')
      await run.logOut()
      const failed = run.tried.filter(({ clientId }) => run.deliveries.last(run.visitor.id)[clientId]?.status !== 200)
      const done = finished(run)
      run.outage.down = false
      run.say('The databases are back; the provider tries again')
      const second = new Map<string, number | undefined>()
      for (const { clientId } of failed) second.set(clientId, await run.deliveries.again(run.visitor.id, clientId))
      await done
      return afterwards(run, 401, ({ clientId }) => ({
        good: `Said that it had failed, was told again, and answered ${second.get(clientId)}. Nobody is signed in.`,
        bad: `Still greets ${run.who}: it had said 200 at once, so nobody told it again.`,
      }))
    },
  },
  {
    id: 'forged',
    title: 'A forged token',
    about: 'Somebody signs a Logout Token with a key of their own.',
    signsIn: true,
    run: async (run) => {
      const key = await run.strangersKey()
      for (const place of run.tried)
        await send(run, place, await key.sign(await logoutClaims(run, place), 'logout+jwt'))
      return afterwards(run, 200, () => ({
        good: `Refused it. ${run.who} stays signed in.`,
        bad: `Signed ${run.who} out, on a stranger’s word.`,
      }))
    },
  },
  {
    id: 'id-token',
    title: 'An ID Token instead',
    about: 'Signed by the provider, for this very session, and found in many a log file.',
    signsIn: true,
    run: async (run) => {
      for (const place of run.tried) {
        const { events: _, jti: __, ...claims } = await logoutClaims(run, place)
        await send(run, place, await run.op.sign({ ...claims, nonce: crypto.randomUUID() }, 'JWT'))
      }
      return afterwards(run, 200, () => ({
        good: `Refused it: an ID Token is no logout. ${run.who} stays signed in.`,
        bad: `Signed ${run.who} out: whoever finds an ID Token can do that.`,
      }))
    },
  },
  {
    id: 'replay',
    title: 'The same token twice',
    about: 'Somebody has kept a Logout Token, and sends it again later.',
    signsIn: true,
    run: async (run) => {
      await run.logOut()
      await run.signIn()
      run.say('Somebody sends the old Logout Tokens again')
      const answers = new Map<string, number | undefined>()
      for (const { clientId } of run.tried) answers.set(clientId, await run.deliveries.again(run.visitor.id, clientId))
      return run.tried.map(({ clientId, name }) => {
        const refused = answers.get(clientId) === 400
        const text = refused
          ? `Refused it: that logout was done before. ${run.who} has signed in again, and stays.`
          : 'Answered 200 and did it again: it remembers no token.'
        return { clientId, name, good: refused, text }
      })
    },
  },
  {
    id: 'device',
    title: 'A second device',
    about: 'The user is signed in on a phone as well, and logs out here.',
    signsIn: true,
    before: async ({ tried, phone, sub }) => {
      for (const { url } of tried) await phone.signIn(url, sub)
    },
    run: async (run) => {
      await run.logOut()
      const here = await afterwards(run, 401, () => ({ good: '', bad: `Still greets ${run.who} here. ` }))
      const there = await afterwards({ ...run, browser: run.phone }, 200, () => ({
        good: 'Signed out here, still signed in on the phone: exactly what was asked.',
        bad: 'The phone was signed out as well, though nobody asked for that.',
      }))
      return there.map((outcome, index) => {
        const good = outcome.good && here[index]?.good === true
        return { ...outcome, good, text: `${here[index]?.text ?? ''}${outcome.text}` }
      })
    },
  },
]

async function send(run: Run, { clientId, name, url }: Tried, token: string): Promise<void> {
  run.say(`Somebody sends ${name} a token`)
  await run.deliveries.send(clientId, url + RECEIVER, token)
}

/** Until the applications that answered that they had failed have ended a session all the same, or for a while. */
function finished({ activity, tried, deliveries, visitor }: Run): Promise<unknown> {
  const unfinished = tried.filter(({ clientId }) => deliveries.last(visitor.id)[clientId]?.status !== 200)
  const ended = (place: Tried) =>
    activity.next(({ source, tone }) => source === place.clientId && tone === 'end', FINISHED_WITHIN_MS)
  return Promise.all(unfinished.map(ended))
}
