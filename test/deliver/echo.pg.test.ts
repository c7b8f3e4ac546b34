/**
 * Our own writes, all the way round: score → write → poll → webhook. What comes back is looked at, and nothing is done.
 * The service, its connector and its models are the real ones; only the portal is simulated.
 */
import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { hubspot, hubspotDelivery } from '../../connectors/hubspot/index.ts'
import { company } from '../../features/company-entity.ts'
import { growth } from '../../models/growth/model.ts'
import config from '../../rescore.config.ts'
import { label, probability } from '../../src/define/index.ts'
import { waitUntilReflected } from '../../src/observe/wait.ts'
import { startService } from '../../src/service.ts'
import { seedPortal, startSimulator } from '../simulator/index.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/pg.ts'
import { startPortalFront } from './portal-front.ts'

const SECRET = 'client-secret-0123456789'
const PUBLIC = 'https://hooks.example.com/hubspot'
const COMPANIES = 12

async function send(port: number, events: readonly object[]): Promise<number> {
  const body = JSON.stringify(events)
  const at = Date.now()
  const signature = createHmac('sha256', SECRET).update(`POST${PUBLIC}${body}${at}`).digest('base64')
  const answer = await fetch(`http://127.0.0.1:${port}/hubspot`, {
    method: 'POST',
    body,
    headers: { 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': String(at) },
  })
  return answer.status
}

test('score, write, poll, webhook: what we wrote comes back and causes nothing', async () => {
  const portal = seedPortal({ seed: 1, companies: COMPANIES, indexLag: 0 })
  await using simulator = await startSimulator({ portal, rateLimits: false })
  await using front = await startPortalFront(simulator)
  await using database = await createTestDatabase('echo')
  const ending = new AbortController()
  const ports: number[] = []
  const options = { accessToken: simulator.token, baseUrl: front.url, callsPer10s: 10_000, searchesPerSecond: 1_000 }
  const service = await startService({
    url: database.url,
    slot: database.name,
    publication: 'rescore',
    signal: ending.signal,
    log: {
      info: (fields) => void ('port' in fields && typeof fields.port === 'number' && ports.push(fields.port)),
      warn: () => undefined,
    },
    config: {
      ...config,
      connectors: [
        hubspot({ ...options, everyMs: 100, lagMs: 200, webhooks: { clientSecret: SECRET, publicUrl: PUBLIC } }),
      ],
      webhooks: { port: 0 },
      deliver: [
        hubspotDelivery({
          ...options,
          entity: company,
          fields: { growth_label: label(growth), growth_probability: probability(growth) },
        }),
      ],
    },
  })
  try {
    const { pool } = service
    const handled = () => waitUntilReflected({ url: database.url, timeoutMs: 60_000, signal: ending.signal })
    const ledger = async () => {
      const { rows } = await pool.query<{ written: number; echoes: number; known: number; due: number }>(
        `select n.written::int, n.echoes::int,
           (select count(*) from rescore.delivery where sent is not null)::int as known, (select count(*) from rescore.delivery where due_at is not null)::int
           + (select count(*) from rescore.delivery_due)::int as due from rescore.delivery_destination n`,
      )
      return rows[0]
    }
    await eventually(
      async () => {
        const { rows } = await pool.query(
          `select stream from rescore.connector_state where state ->> 'phase' = 'follow'`,
        )
        expect(rows).toHaveLength(3)
      },
      { deadlineMs: 90_000 },
    )
    await handled()
    await eventually(async () => expect(await ledger()).toMatchObject({ due: 0, known: COMPANIES }))
    const written = [...portal.live('companies')]
    const polled = () =>
      eventually(async () => {
        const { rows } = await pool.query<{ id: string; at: number }>(
          'select id::text, extract(epoch from hs_lastmodifieddate)::float8 * 1000 as at from hubspot.companies',
        )
        const landed = new Map(rows.map(({ id, at }) => [id, at]))
        for (const { id, modifiedMs } of written) expect(landed.get(String(id))).toBe(modifiedMs)
      })
    // Our write has moved their time of modification, and polling has landed it.
    await polled()
    await handled()
    const before = { recompute: { ...service.recompute.counters }, score: { ...service.score.counters } }
    const [updates, told] = [front.updates.length, await ledger()]
    expect(told).toMatchObject({ due: 0, echoes: 0 })
    for (const { id } of written) portal.touch('companies', [id])
    await polled()
    const change = (id: number, propertyName: string, propertyValue: string | undefined) => ({
      subscriptionType: 'company.propertyChange',
      objectId: id,
      propertyName,
      propertyValue,
      eventId: id,
      occurredAt: Date.now(),
    })
    const [port = 0] = ports
    const ours = written.flatMap(({ id, properties }) =>
      ['growth_label', 'growth_probability'].map((name) => change(id, name, properties[name])),
    )
    expect(await send(port, ours)).toBe(204)
    // One that is not ours wakes the record, is read by id, and finds nothing different either.
    expect(await send(port, [change(written[0]?.id ?? 0, 'hs_analytics_source', 'DIRECT')])).toBe(204)
    await eventually(async () => {
      const { rows } = await pool.query(
        `select state from rescore.connector_state where stream = 'companies by webhook'`,
      )
      const awake = await pool.query('select from rescore.wake_up')
      expect([rows.length, awake.rowCount]).toEqual([1, 0])
    })
    await handled()
    expect(service.recompute.counters).toMatchObject({
      computed: before.recompute.computed,
      written: before.recompute.written,
    })
    expect(service.score.counters).toMatchObject({ computed: before.score.computed, written: before.score.written })
    expect(await ledger()).toEqual({ ...told, echoes: ours.length })
    expect(front.updates).toHaveLength(updates)
    // And it was alive all the while: a change that means something goes the whole way.
    const [first] = written
    if (first === undefined) throw new Error('no companies')
    portal.edit('companies', first.id, { numberofemployees: 100_000, yc_is_hiring: 'true', yc_status: 'Acquired' })
    await eventually(() => expect(service.recompute.counters.computed).toBeGreaterThan(before.recompute.computed))
  } finally {
    ending.abort(new Error('The test has ended.'))
    await service.done
  }
})
