/** The proxy does to connections what its modes say: otherwise the fault tests behind it would show nothing. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { startProxy } from './proxy.ts'

async function startEcho() {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => open.delete(socket))
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: address === null || typeof address === 'string' ? 0 : address.port,
    open,
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of open) socket.destroy()
      await once(server, 'close')
    },
  }
}

/** A connection that remembers what it hears. */
function call(port: number) {
  const socket = connect({ host: '127.0.0.1', port })
  const heard = { text: '', isOver: false }
  socket.on('data', (piece: Buffer) => {
    heard.text += piece.toString()
  })
  socket.on('error', () => undefined)
  socket.once('close', () => {
    heard.isOver = true
  })
  return { socket, heard }
}

test('passes, delays in order, cuts, refuses, and goes on', async () => {
  await using echo = await startEcho()
  await using proxy = await startProxy(echo.port)
  const { socket, heard } = call(proxy.port)
  socket.write('one')
  await eventually(() => expect(heard.text).toBe('one'))
  proxy.set('delay', 30)
  const startedMs = performance.now()
  socket.write(' two')
  await eventually(() => expect(heard.text).toBe('one two'))
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(55)
  expect(proxy.cut()).toBe(1)
  await eventually(() => expect(heard.isOver).toBe(true))
  await eventually(() => expect(echo.open.size).toBe(0))
  proxy.set('refuse')
  const refused = call(proxy.port)
  await eventually(() => expect(refused.heard.isOver).toBe(true))
  expect(proxy.accepted).toBe(1)
  proxy.set('pass')
  const again = call(proxy.port)
  again.socket.write('three')
  await eventually(() => expect(again.heard.text).toBe('three'))
  again.socket.destroy()
})

test('swallowing leaves connections open and silent, and tells neither side of the end of the other', async () => {
  await using echo = await startEcho()
  await using proxy = await startProxy(echo.port)
  const before = call(proxy.port)
  before.socket.write('one')
  await eventually(() => expect(before.heard.text).toBe('one'))
  proxy.set('swallow')
  before.socket.write(' two')
  const fresh = call(proxy.port)
  fresh.socket.write('three')
  await eventually(() => expect(proxy.swallowed).toBe(2))
  for (const socket of echo.open) socket.destroy()
  await eventually(() => expect(echo.open.size).toBe(0))
  expect([before.heard, fresh.heard]).toEqual([
    { text: 'one', isOver: false },
    { text: '', isOver: false },
  ])
  before.socket.destroy()
  fresh.socket.destroy()
})

test('swallowing answers lets the client speak on, and resets what has lost pieces when it passes again', async () => {
  await using echo = await startEcho()
  await using proxy = await startProxy(echo.port)
  const { socket, heard } = call(proxy.port)
  socket.write('one')
  await eventually(() => expect(heard.text).toBe('one'))
  proxy.set('swallow-answers')
  socket.write(' two')
  // The echo's answer: what was said has arrived.
  await eventually(() => expect(proxy.swallowed).toBe(1))
  expect(heard).toEqual({ text: 'one', isOver: false })
  proxy.set('pass')
  await eventually(() => expect(heard.isOver).toBe(true))
})
