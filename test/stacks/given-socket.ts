// Preloaded into a recipe's program: the first server that listens does so on the socket which the test has opened, so
// that the program keeps the port it names in the documentation, and no test needs a fixed one.
import { once } from 'node:events'
import { Server } from 'node:net'

const [, socket] = await once(process, 'message')
process.channel?.unref()

const { listen } = Server.prototype
Server.prototype.listen = function (this: Server, ...args: unknown[]) {
  Server.prototype.listen = listen
  this.once('listening', () => process.send?.('listening'))
  const callback = args.at(-1)
  return Reflect.apply(listen, this, typeof callback === 'function' ? [socket, callback] : [socket])
}
