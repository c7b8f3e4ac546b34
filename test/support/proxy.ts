/**
 * A TCP proxy that a test puts in front of a server, to do to its connections what networks do.
 *
 * Modes: `pass`; `delay` (every piece later, in order); `swallow` (connections are made and stay open, nothing comes
 * through in either direction and no end is told: half-open); `swallow-answers` (what the client says arrives, what the
 * server says does not); `refuse` (connections are reset as soon as they are made). `cut` resets every open connection
 * once. What a mode change finds open is affected too; a connection that has lost pieces is reset with the next mode.
 * Invariant: memory is bounded by back-pressure in every mode; disposing leaves no socket.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type ProxyMode = 'pass' | 'delay' | 'swallow' | 'swallow-answers' | 'refuse'

export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** Connections passed on so far. */
  readonly accepted: number
  /** Pieces that came while swallowing, and went nowhere. */
  readonly swallowed: number
  set(mode: ProxyMode, delayMs?: number): void
  /** Resets every connection there is. @returns how many */
  cut(): number
}

type Pair = readonly [Socket, Socket]

function reset(pair: Pair): void {
  for (const socket of pair) if (!socket.destroyed) socket.resetAndDestroy()
}

/** @param targetPort on 127.0.0.1 */
export async function startProxy(targetPort: number, port = 0): Promise<Proxy> {
  const pairs = new Set<Pair>()
  /** What is missing in the middle of a stream can never be made up for. */
  const holed = new WeakSet<Pair>()
  let [mode, delayMs]: [ProxyMode, number] = ['pass', 0]
  let [accepted, swallowed] = [0, 0]

  const isSwallowed = (from: Socket, [, upstream]: Pair) =>
    mode === 'swallow' || (mode === 'swallow-answers' && from === upstream)
  const forward = (from: Socket, to: Socket, pair: Pair) => {
    from.on('data', (piece: Buffer) => {
      if (isSwallowed(from, pair)) {
        swallowed += 1
        holed.add(pair)
        return
      }
      from.pause()
      const send = () => {
        if (!to.destroyed) to.write(piece, () => from.resume())
      }
      if (mode === 'delay') setTimeout(send, delayMs)
      else send()
    })
  }

  // Half-open on both sides, or Node would answer the end of one by itself.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on('error', () => undefined)
    if (mode === 'refuse') {
      client.resetAndDestroy()
      return
    }
    accepted += 1
    const upstream = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true })
    upstream.on('error', () => undefined)
    const pair = [client, upstream] as const
    pairs.add(pair)
    forward(client, upstream, pair)
    forward(upstream, client, pair)
    for (const socket of pair) {
      const over = () => {
        if (mode !== 'swallow' && mode !== 'swallow-answers') reset(pair)
        if (pair.every(({ destroyed }) => destroyed)) pairs.delete(pair)
      }
      socket.once('end', over)
      socket.once('close', over)
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const cut = (which: (pair: Pair) => boolean = () => true) => {
    const chosen = [...pairs].filter(which)
    for (const pair of chosen) reset(pair)
    return chosen.length
  }
  return {
    get port() {
      const address: AddressInfo | string | null = server.address()
      return address === null || typeof address === 'string' ? 0 : address.port
    },
    get accepted() {
      return accepted
    },
    get swallowed() {
      return swallowed
    },
    set: (next, ms = 0) => {
      mode = next
      delayMs = ms
      if (next === 'refuse') cut()
      // What ended while nothing was told is told now.
      else if (next === 'pass' || next === 'delay')
        cut((pair) => holed.has(pair) || pair.some((socket) => socket.destroyed || socket.readableEnded))
    },
    cut: () => cut(),
    [Symbol.asyncDispose]: async () => {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
