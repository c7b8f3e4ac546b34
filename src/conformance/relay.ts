/**
 * The kit's proxy for connectors that speak PostgreSQL's own protocol: it cuts, holds and refuses connections, and counts
 * them. A call is a connection here, an answer is what the source sends at once.
 * Invariant: a connection that no fault hits passes byte for byte; whatever ends one side ends the other.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { KitClock } from './fixture.ts'
import type { FaultPlan, Given, KitWire, ProxyCall } from './proxy.ts'

/** Length and version of the first message. */
const STARTUP_HEAD_BYTES = 8
/** A pass opens up to three connections: a fault in each third one would let none through, in each third pair some. */
const pairOf = (connection: number) => Math.floor(connection / 2)
/** Which answer of a connection a fault hits: another for each, from the greeting to far into its work. */
const hitAnswer = (call: number) => (call * 5) % 16

/** Its names and values. */
function given(startup: Buffer): Given {
  const words = startup.subarray(STARTUP_HEAD_BYTES).toString('utf8').split('\0')
  const pairs = words.flatMap((name, at) => (at % 2 === 0 && name !== '' ? [[name, words[at + 1] ?? '']] : []))
  return { headers: Object.fromEntries(pairs), url: '' }
}

/** ErrorResponse, after which the server hangs up. */
function refusal(status: number, message: string): Buffer {
  const code = status === 401 || status === 403 ? '28P01' : 'XX000'
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeUInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

export class KitRelay implements KitWire {
  readonly #target: URL
  readonly #clock: KitClock
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => {
    this.#sockets.add(client)
    client.on('close', () => this.#sockets.delete(client))
    // Its close says it all.
    client.on('error', () => client.destroy())
    this.#serve(client).catch(() => client.destroy())
  })
  calls: ProxyCall[] = []
  faultsPlayed = 0
  plan: FaultPlan | undefined
  isHolding = false
  answer: KitWire['answer']
  onAnswered: KitWire['onAnswered']

  constructor(target: string, clock: KitClock) {
    this.#target = new URL(target)
    this.#clock = clock
  }

  /** @returns the target's URL, by way of here */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    const here = new URL(this.#target)
    here.hostname = '127.0.0.1'
    here.port = String(typeof address === 'object' && address !== null ? address.port : 0)
    return here.href
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  async #serve(client: Socket): Promise<void> {
    const index = this.calls.length
    const call: ProxyCall = { method: 'CONNECT', path: '/', atMs: this.#clock.now(), body: '' }
    this.calls.push(call)
    if (this.isHolding) {
      // Read, so that its end is noticed.
      client.resume()
      return
    }
    const [startup]: Buffer[] = await once(client, 'data')
    client.pause()
    if (startup === undefined) return
    const refused = this.answer?.(call, given(startup))
    if (refused !== undefined) {
      client.end(refusal(refused.status, refused.body))
      return
    }
    const source = connect(Number(this.#target.port) || 5432, this.#target.hostname)
    client.on('close', () => source.destroy())
    source.on('error', () => client.destroy())
    source.write(startup)
    client.pipe(source)
    await this.#relay(source, client, call, index)
  }

  async #relay(source: Socket, client: Socket, call: ProxyCall, index: number): Promise<void> {
    const fault = this.plan?.hits(pairOf(index)) === true ? this.plan.fault : undefined
    let answers = 0
    for await (const bytes of source) {
      if (!Buffer.isBuffer(bytes)) continue
      if (fault !== undefined && answers === hitAnswer(index)) {
        this.faultsPlayed += 1
        if (fault === 'reset') client.resetAndDestroy()
        else client.end(bytes.subarray(0, Math.floor(bytes.length / 2)), () => client.destroy())
        return
      }
      answers += 1
      if (!client.write(bytes)) await Promise.race([once(client, 'drain'), once(client, 'close')])
      await this.onAnswered?.(call)
    }
    client.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}
