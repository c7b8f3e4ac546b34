/** Deliveries to what is the user's own: an endpoint and a table. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { deliverToTable, deliverToWebhook } from '../../src/define/index.ts'
import { openDestination } from '../../src/deliver/destination.ts'
import { signatureHeaders } from '../../src/deliver/webhook.ts'
import { company, FIELDS, setting } from './setting.ts'

const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes....').toString('base64')}`

test('the signature is the one of the Standard Webhooks specification', () => {
  const headers = signatureHeaders(
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'msg_p5jXN8AQM9LWM0D4loKWxJek',
    1_614_265_330_000,
    '{"test": 2432232314}',
  )
  expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

interface Heard {
  readonly id: string
  readonly body: string
  readonly isSigned: boolean
}

async function endpoint(status: (heard: Heard) => number) {
  const heard: Heard[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const [id, at, given] = ['id', 'timestamp', 'signature'].map((name) => String(request.headers[`webhook-${name}`]))
      const key = Buffer.from(SECRET.slice(6), 'base64')
      const expected = `v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}`
      const one = { id: id ?? '', body, isSigned: given === expected }
      heard.push(one)
      response.writeHead(status(one)).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    heard,
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/hook`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const webhook = (url: string, allow = ['127.0.0.1']) =>
  deliverToWebhook({ name: 'crm_events', entity: company, fields: FIELDS, url, secret: SECRET, allow })

test('each change is one signed request; a repeat after a failure has the id and body of the first try', async () => {
  let status = 500
  await using at = await endpoint(() => status)
  const to = webhook(at.url)
  await using set = await setting([to])
  await set.classify([[1, 'high', 0.9]])
  const [failed] = await set.deliver(to)
  expect(failed?.failure).toMatchObject({ code: 'DELIVER_ENDPOINT_FAILED' })
  status = 204
  await set.db.query('update rescore.delivery set due_at = now()')
  await set.deliver(to)
  const [first, second] = at.heard
  expect([first?.id, first?.body]).toEqual([second?.id, second?.body])
  expect(at.heard.map(({ isSigned }) => isSigned)).toEqual([true, true])
  // Back and forth: a value that comes again is news, under an id of its own.
  for (const chance of [0.8, 0.9]) {
    await set.classify([[1, 'high', chance]])
    await set.deliver(to)
  }
  expect(new Set(at.heard.map(({ id }) => id)).size).toBe(3)
  expect(JSON.parse(at.heard.at(-1)?.body ?? '')).toEqual({
    type: 'classification.changed',
    data: {
      entity: 'company',
      key: '1',
      values: { growth_label: 'high', growth_probability: 0.9 },
      previous: { growth_label: 'high', growth_probability: 0.8 },
    },
  })
})

test('one record the endpoint chokes on holds up no other; an endpoint that is away pauses the delivery, not its records', async () => {
  let isAway = false
  await using at = await endpoint(({ body }) => (isAway || body.includes('"key":"2"') ? 500 : 200))
  const to = webhook(at.url)
  await using set = await setting([to])
  await set.classify([
    [1, 'high', 0.9],
    [2, 'high', 0.9],
    [3, 'high', 0.9],
  ])
  expect(await set.deliver(to)).toMatchObject([{ written: 2, aside: 1, pauseMs: 0 }])
  isAway = true
  await set.classify([[1, 'low', 0.1]])
  expect(await set.deliver(to)).toMatchObject([{ written: 0, aside: 0 }])
  const { rows } = await set.db.query('select key, attempts from rescore.delivery order by key')
  expect(rows).toEqual([
    { key: '1', attempts: 0 },
    { key: '2', attempts: 1 },
    { key: '3', attempts: 0 },
  ])
})

test('an endpoint inside that is not on the allow list is not reached', async () => {
  await using at = await endpoint(() => 200)
  const to = webhook(at.url.replace('http:', 'https:'), [])
  await using set = await setting([to])
  await set.classify([[1, 'high', 0.9]])
  const [pass] = await set.deliver(to)
  expect(pass?.failure).toMatchObject({ code: 'CONNECT_ADDRESS_REFUSED' })
  expect(at.heard).toEqual([])
})

test('a table gets rows that differ, keeps its own columns, and loses rows of entities that are gone', async () => {
  const to = deliverToTable({ name: 'scores', entity: company, fields: FIELDS, table: 'app.Scores', key: 'company_id' })
  await using set = await setting([to])
  await set.db.query(`create schema app; create table app."Scores" (company_id bigint primary key, note text default 'mine',
    growth_label text check (growth_label <> 'bad'), growth_probability numeric(5, 4))`)
  await set.classify([
    [1, 'high', 0.9],
    [2, 'bad', 0.9],
    [3, 'low', 0.1],
  ])
  expect(await set.deliver(to)).toMatchObject([{ written: 2, aside: 1 }])
  const read = async () => {
    const { rows } = await set.db.query(
      'select company_id::int as id, note, growth_label as label, xmin::text as version from app."Scores" order by 1',
    )
    return rows
  }
  const before = await read()
  expect(before).toMatchObject([
    { id: 1, note: 'mine', label: 'high' },
    { id: 3, note: 'mine', label: 'low' },
  ])
  // A ledger that was lost writes everything again, and the table sees that nothing differs.
  await set.db.query(`update rescore.delivery set sent = null, attempts = 0, due_at = now()`)
  await set.deliver(to)
  expect(await read()).toEqual(before)
  await set.declassify(3)
  await set.deliver(to)
  expect((await read()).map(({ id }) => id)).toEqual([1])
})

test('a table without a unique key is refused with the line that mends it', async () => {
  const to = deliverToTable({ name: 'scores', entity: company, fields: FIELDS, table: 'app.scores', key: 'company_id' })
  await using set = await setting([to])
  await set.db.query(
    'create schema app; create table app.scores (company_id bigint, growth_label text, growth_probability float8)',
  )
  await expect(openDestination(to, set.options).prepare()).rejects.toMatchObject({
    code: 'DELIVER_TABLE',
    mend: 'create unique index on app.scores ("company_id");',
  })
})
