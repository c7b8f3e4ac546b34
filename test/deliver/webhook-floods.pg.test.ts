/** What is large, slow or much: the endpoint stays cheap. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { type At, changed, listening, post, v3 } from './listening.ts'

const BODY = JSON.stringify([changed(1)])

/** Sends the head alone; resolves with the status line. */
async function headOnly({ server }: At, headers: Record<string, string>): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`POST /hubspot HTTP/1.1\r\nhost: hooks\r\n${lines.join('')}\r\n`)
  const [first]: Buffer[] = await once(socket, 'data')
  socket.destroy()
  return first?.toString('latin1').split('\r\n')[0] ?? ''
}

test('10 MB, and what is not signed, are refused before a byte of the body is there', async () => {
  await using at = await listening()
  expect(await headOnly(at, { ...v3('x'), 'content-length': '10485760' })).toBe('HTTP/1.1 413 Payload Too Large')
  expect(await headOnly(at, { 'content-length': '10485760' })).toBe('HTTP/1.1 401 Unauthorized')
})

test('10 MB of unknown length is cut off at the limit, and many at once at the sum', async () => {
  await using at = await listening({ maxHeldBytes: 2_000_000 })
  const chunked = async (bytes: number) => {
    const socket = connect(at.server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    const head = { ...v3('x'), 'transfer-encoding': 'chunked' }
    const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST /hubspot HTTP/1.1\r\nhost: hooks\r\n${lines.join('')}\r\n`)
    socket.write(`${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`)
    return socket
  }
  const large = await chunked(10_485_760)
  const [first]: Buffer[] = await once(large, 'data')
  expect(first?.toString('latin1')).toMatch(/^HTTP\/1\.1 413 /)
  large.destroy()
  const many = await Promise.all(Array.from({ length: 4 }, () => chunked(900_000)))
  const answer = await Promise.race(many.map(async (socket) => (await once(socket, 'data'))[0]?.toString('latin1')))
  expect(answer).toMatch(/^HTTP\/1\.1 503 /)
  for (const socket of many) socket.destroy()
})

test('a flood of bad ones asks the database nothing, holds no memory, and a good one gets through it', async () => {
  await using at = await listening()
  const bad = Array.from({ length: 2_000 }, (_, one) => ({
    body: JSON.stringify([changed(one)]),
    headers: one % 2 === 0 ? v3('other') : {},
  }))
  const flood = async () => {
    for (let next = bad.pop(); next !== undefined; next = bad.pop()) {
      expect(await post(at, next.body, next.headers)).toBe(401)
    }
  }
  const floods = Array.from({ length: 16 }, flood)
  expect(await post(at, BODY, v3(BODY))).toBe(204)
  expect(bad.length).toBeGreaterThan(0)
  await Promise.all(floods)
  expect([at.statements, at.server.answered[401], at.server.heldBytes]).toEqual([1, 2_000, 0])
})
