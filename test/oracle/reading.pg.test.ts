/**
 * The experiment of the research (connectors.md 1.5) against the simulator: five algorithms and our connector read the
 * same portal at the same moments while it is edited, without and with a bulk edit of more than 10,000 records in one
 * millisecond. Lost is what changed at least three minutes before the end and is still not what the reader has.
 *
 * What each of the others loses is printed; RESCORE_TOY=all runs it at the size of the research (30,000 records, 20 min).
 */
import { expect, test } from 'vitest'
import { Portal, randomFrom, SimulatorClock } from '../simulator/index.ts'
import { SMALL_TABLES, setUpHubspot, T0 } from '../support/hubspot.ts'
import { AfterNewest, FromNewest, Windowed } from './algorithms.ts'

const WHOLE = process.env.RESCORE_TOY === 'all'
const RECORDS = WHOLE ? 30_000 : 12_500
const BULK = 12_000
const SECONDS = WHOLE ? 1_200 : 300
const EDITS_PER_SECOND = 20
const POLL_EVERY = 30
const SETTLED_MS = 180_000
const LAG = { min: 0, max: 60_000, mean: 5_000 }

function portalOf(records: number): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0) })
  for (let id = 1; id <= records; id += 1) portal.create('companies', { numberofemployees: 0 }, { id })
  return portal
}

async function experiment(isBulk: boolean) {
  await using at = await setUpHubspot({ portal: portalOf(RECORDS), indexLag: LAG })
  const { portal, clock, simulator } = at
  clock.advance(600_000)
  const readers = {
    A: new AfterNewest(simulator),
    B: new FromNewest(simulator),
    C: new Windowed(simulator, { lagMs: 0, lookbackMs: 0 }),
    D: new Windowed(simulator, { lagMs: 60_000, lookbackMs: 0 }),
    E: new Windowed(simulator, { lagMs: 0, lookbackMs: 90_000 }),
  }
  await at.pass('companies')
  const random = randomFrom(`toy ${isBulk}`)
  const changedAt = new Map<number, number>()
  let edits = 0
  const edit = (id: number) => {
    edits += 1
    portal.edit('companies', id, { numberofemployees: edits })
    changedAt.set(id, clock.now())
  }
  for (let second = 1; second <= SECONDS; second += 1) {
    clock.advance(1_000)
    for (let made = 0; made < EDITS_PER_SECOND; made += 1) edit(random.whole(1, RECORDS))
    if (isBulk && second === Math.round(SECONDS / 3)) for (let id = 1; id <= BULK; id += 1) edit(id)
    if (second % POLL_EVERY !== 0) continue
    await Promise.all(Object.values(readers).map((reader) => reader.poll(clock.now())))
    await at.pass('companies')
  }
  const { rows } = await at.db.query<{ id: string; value: string | null }>(
    `select id::text, numberofemployees::text as value from ${SMALL_TABLES.companies.id}`,
  )
  const ours = new Map(rows.map(({ id, value }) => [Number(id), value]))
  const settled = [...changedAt].filter(([, atMs]) => atMs <= clock.now() - SETTLED_MS).map(([id]) => id)
  const lostOf = (values: ReadonlyMap<number, string | null>) =>
    settled.filter((id) => values.get(id) !== portal.get('companies', id)?.properties.numberofemployees).length
  const lost: Readonly<Record<string, number>> = Object.fromEntries([
    ...Object.entries(readers).map(([name, { values }]) => [name, lostOf(values)]),
    ['ours', lostOf(ours)],
  ])
  const failed = Object.fromEntries(Object.entries(readers).map(([name, reader]) => [name, reader.failed]))
  const calls = Object.fromEntries(Object.entries(readers).map(([name, reader]) => [name, reader.calls]))
  const result = { settled: settled.length, lost, failed, calls }
  process.stderr.write(`toy model, ${isBulk ? 'with a bulk edit' : 'steady'}: ${JSON.stringify(result)}\n`)
  return result
}

test('steady edits: a window that ends a minute ago loses nothing, as ours; one that ends now does', {
  timeout: 900_000,
}, async () => {
  const { settled, lost } = await experiment(false)
  expect(settled).toBeGreaterThan(1_000)
  expect(lost).toMatchObject({ D: 0, E: 0, ours: 0 })
  for (const name of ['A', 'B', 'C'] as const) expect(lost[name], name).toBeGreaterThan(0)
})

test('with 12,000 records of one millisecond: by offset it fails, by id it does not', {
  timeout: 900_000,
}, async () => {
  const { lost, failed, calls } = await experiment(true)
  expect(lost).toMatchObject({ D: 0, E: 0, ours: 0 })
  for (const name of ['A', 'B', 'C'] as const) expect(lost[name], name).toBeGreaterThan(0)
  expect(failed).toMatchObject({ C: 0, D: 0, E: 0 })
  for (const name of ['A', 'B'] as const) expect(failed[name], name).toBeGreaterThan(0)
  expect(calls.E).toBeGreaterThan(calls.D ?? 0)
})
