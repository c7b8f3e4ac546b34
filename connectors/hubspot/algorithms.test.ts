/**
 * Ways to read what has changed, against a search index that lags: which of them lose records, and why ours is what it is.
 * (That the connector itself loses none is in lossless.pg.test.ts.)
 *
 * A: newer than the newest seen, sorted by modification, page by offset (public templates)
 * B: the same from the newest seen on, begun anew at 10,000 results (public taps)
 * C: a window up to now, by ascending id
 * D: a window up to a lag behind now, by ascending id (ours)
 * E: a window up to now, begun some time before the last one ended, by ascending id
 */
import { expect, test } from 'vitest'
import { Portal, randomFrom, type Simulator, SimulatorClock, startSimulator } from '../../test/simulator/index.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')
const LAG_MS = 60_000
const LOOKBACK_MS = 90_000
const CURSOR = 'hs_lastmodifieddate'
/** HubSpot's own limits. */
const PAGE = 200
const MOST = 10_000

interface Hit {
  readonly id: string
  readonly properties: Readonly<Record<string, string | null>>
}

class Refused extends Error {}

class Reader {
  readonly values = new Map<number, string | null>()
  failed = 0
  calls = 0
  seenMs = T0
  readonly #simulator: Simulator

  constructor(simulator: Simulator) {
    this.#simulator = simulator
  }

  get nowMs(): number {
    return this.#simulator.portal.clock.now()
  }

  async search(filters: readonly object[], sort: string, offset = 0): Promise<readonly Hit[]> {
    this.calls += 1
    const { url, token } = this.#simulator
    const response = await fetch(`${url}/crm/objects/2026-09/companies/search`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({
        filterGroups: [{ filters }],
        sorts: [{ propertyName: sort, direction: 'ASCENDING' }],
        properties: [CURSOR, 'numberofemployees'],
        limit: PAGE,
        after: String(offset),
      }),
    })
    if (!response.ok) throw new Refused(await response.text())
    const { results }: { readonly results: readonly Hit[] } = JSON.parse(await response.text())
    for (const { id, properties } of results) this.values.set(Number(id), properties.numberofemployees ?? null)
    return results
  }
}

const modifiedMs = ({ properties }: Hit) => Date.parse(properties[CURSOR] ?? '')
const newest = (hits: readonly Hit[], before: number) => Math.max(before, ...hits.map(modifiedMs))

/** Page after page by offset, over an order that moves under the reader. */
function byOffset(operator: 'GT' | 'GTE', beginsAnew: boolean) {
  return async (reader: Reader) => {
    for (let restarts = 0; restarts < 3; restarts += 1) {
      const since = { propertyName: CURSOR, operator, value: String(reader.seenMs) }
      for (let offset = 0; ; offset += PAGE) {
        if (beginsAnew && offset + PAGE > MOST) break
        const hits = await reader.search([since], CURSOR, offset)
        reader.seenMs = newest(hits, reader.seenMs)
        if (hits.length < PAGE) return
      }
    }
    // A template has no such end: it goes on for ever at one millisecond.
    throw new Refused('no progress')
  }
}

/** A window by ascending id: no offset, no order that moves, no end at 10,000. */
function byWindow(lagMs: number, lookbackMs: number) {
  return async (reader: Reader) => {
    const toMs = reader.nowMs - lagMs
    if (toMs <= reader.seenMs) return
    const window = {
      propertyName: CURSOR,
      operator: 'BETWEEN',
      value: String(reader.seenMs - lookbackMs),
      highValue: String(toMs),
    }
    for (let after = '0'; ; ) {
      const above = { propertyName: 'hs_object_id', operator: 'GT', value: after }
      const hits = await reader.search([window, above], 'hs_object_id')
      after = hits.at(-1)?.id ?? after
      if (hits.length < PAGE) break
    }
    reader.seenMs = toMs
  }
}

const ALGORITHMS = {
  A: byOffset('GT', false),
  B: byOffset('GTE', true),
  C: byWindow(0, 0),
  D: byWindow(LAG_MS, 0),
  E: byWindow(0, LOOKBACK_MS),
} as const

interface Scenario {
  readonly records: number
  readonly minutes: number
  /** All records edited within one millisecond, after this many polls. */
  readonly bulkAfter: number | null
}

const POLL_MS = 30_000
const EDITS_PER_POLL = 200

/** @returns of each algorithm: how many records changed three minutes before the end or earlier are stale */
async function run({ records, minutes, bulkAfter }: Scenario) {
  const portal = new Portal({
    clock: SimulatorClock.frozenAt(T0),
    indexLag: { min: 0, max: 60_000, mean: 5_000 },
    seed: 7,
  })
  for (let id = 1; id <= records; id += 1) portal.create('companies', { numberofemployees: 0 }, { id })
  await using simulator = await startSimulator({ portal, rateLimits: false })
  portal.clock.advance(120_000)
  const readers = Object.entries(ALGORITHMS).map(([name, poll]) => ({ name, poll, reader: new Reader(simulator) }))
  for (const { reader } of readers) {
    for (const { id } of portal.live('companies')) reader.values.set(id, '0')
    reader.seenMs = portal.clock.now()
  }
  const random = randomFrom('edits')
  const polls = (minutes * 60_000) / POLL_MS
  const settledMs = portal.clock.now() + (polls - 6) * POLL_MS
  for (let poll = 0; poll < polls; poll += 1) {
    if (poll === bulkAfter) {
      for (let id = 1; id <= records; id += 1) portal.edit('companies', id, { numberofemployees: 100_000 + id })
    }
    for (let edit = 0; edit < EDITS_PER_POLL; edit += 1) {
      portal.clock.advance(POLL_MS / EDITS_PER_POLL)
      portal.edit('companies', random.whole(1, records), { numberofemployees: poll * EDITS_PER_POLL + edit })
    }
    for (const { poll: look, reader } of readers) {
      await look(reader).catch((error: unknown) => {
        if (!(error instanceof Refused)) throw error
        reader.failed += 1
      })
    }
  }
  const due = [...portal.live('companies')].filter(({ modifiedMs: at }) => at > T0 + 120_000 && at <= settledMs)
  expect(due.length).toBeGreaterThan(0)
  return Object.fromEntries(
    readers.map(({ name, reader }) => [
      name,
      {
        lost: due.filter(({ id, properties }) => reader.values.get(id) !== properties.numberofemployees).length,
        failed: reader.failed,
      },
    ]),
  )
}

test('steady edits: only windows that wait for the index, or look back, lose nothing', async () => {
  const { A, B, C, D, E } = await run({ records: 3_000, minutes: 10, bulkAfter: null })
  expect([D, E]).toStrictEqual([
    { lost: 0, failed: 0 },
    { lost: 0, failed: 0 },
  ])
  for (const losing of [A, B, C]) expect(losing?.lost).toBeGreaterThan(0)
})

test('a bulk edit of more than 10,000 records in one millisecond: the same, and reading by offset gets stuck', async () => {
  const { A, B, C, D, E } = await run({ records: 10_050, minutes: 4, bulkAfter: 1 })
  expect([D, E]).toStrictEqual([
    { lost: 0, failed: 0 },
    { lost: 0, failed: 0 },
  ])
  for (const losing of [A, B, C]) expect(losing?.lost).toBeGreaterThan(0)
  expect((A?.failed ?? 0) + (B?.failed ?? 0)).toBeGreaterThan(0)
})
