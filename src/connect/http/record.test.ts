import { expect, test } from 'vitest'
import { startFixtureServer } from '../../conformance/fixture-server.ts'
import { defineConnector } from '../../define/index.ts'
import { BudgetBook } from '../budget.ts'
import { sourceContext } from '../context.ts'
import { recordingTransport, replayingTransport } from './record.ts'
import { redactorOf } from './redact.ts'
import { createTransport, type Transport } from './transport.ts'

const SECRET = 'sk-0123456789'

test('a run is repeated from its recording, which holds no secret', async () => {
  let asked = 0
  const server = await startFixtureServer(({ query, headers }) => {
    asked += 1
    return {
      headers: { 'set-cookie': `s=${SECRET}` },
      body: { page: query.page, asked, echo: headers.authorization, url: query },
    }
  })
  const connector = defineConnector({
    name: 'acme',
    http: { baseUrl: server.url, auth: { kind: 'bearer', token: SECRET }, headers: { 'x-key': SECRET } },
    streams: [],
  })
  const log = { info: () => undefined, warn: () => undefined }
  const run = async (transport: Transport) => {
    const options = { connector, signal: new AbortController().signal, log, transport }
    const context = sourceContext(options, new BudgetBook(), 'test')
    const bodies: unknown[] = []
    for (const page of [1, 2, 1]) {
      const { body } = await context.http({ path: '/list', query: { page, key: SECRET } })
      bodies.push(body)
    }
    return JSON.stringify(bodies)
  }
  const lines: string[] = []
  const recorder = recordingTransport(createTransport(), redactorOf(connector), (line) => lines.push(line))
  const live = await run(recorder)
  await server[Symbol.asyncDispose]()
  expect([asked, lines.length]).toEqual([3, 3])
  expect(lines.join('\n')).not.toContain(SECRET)
  expect(lines.join('\n')).not.toContain('set-cookie')
  expect(await run(replayingTransport(lines, redactorOf(connector)))).toBe(live.replaceAll(SECRET, '[secret]'))

  const other = replayingTransport(lines.slice(1), redactorOf(connector))
  const wire = { method: 'GET', url: `${server.url}/elsewhere`, headers: {}, maxBytes: 1 }
  await expect(other.send(wire, new AbortController().signal)).rejects.toMatchObject({ code: 'CONNECT_NOT_RECORDED' })
})
