/** What a timer does when its time has come: at which instants, in which order, and what history says of it. */
import { expect, test } from 'vitest'
import {
  type AnyFeature,
  type AnyInput,
  bigint,
  type ColumnInput,
  type Duration,
  daysSince,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  integer,
  timestamp,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { readMoves } from '../../src/history/entity-history.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { type Driven, openDriven } from './driven.ts'

const HOUR_MS = 3_600_000
const at = (text: string) => Date.parse(text)

const people = defineTable({
  name: 'app.people',
  key: 'id',
  columns: { id: bigint().notNull(), born: timestamp(), n: integer() },
})
const visits = defineTable({
  name: 'app.visits',
  key: 'id',
  columns: { id: integer().notNull(), person_id: bigint(), at: timestamp() },
})
const person = defineEntity({ name: 'person', table: people })
const theirs = person.many(visits, { foreignKey: 'person_id' })

function number(
  name: string,
  inputs: Readonly<Record<string, AnyInput>>,
  compute: (given: Readonly<Record<string, unknown>>) => number | null,
): AnyFeature {
  return defineFeature({
    entity: person,
    name,
    version: 1,
    type: 'number',
    description: name,
    inputs: inputs as Readonly<Record<string, ColumnInput<unknown>>>,
    compute,
  })
}

const first = (given: Readonly<Record<string, unknown>>) => {
  const [value = null] = Object.values(given)
  return typeof value === 'number' ? value : null
}
const n = number('n', { n: person.columns.n }, first)
const days = (zone: string, slack?: Duration) =>
  number('days', { days: daysSince(person.columns.born, { zone, ...(slack === undefined ? {} : { slack }) }) }, first)

const tables = [people, visits]
const graphOf = (...features: readonly AnyFeature[]) => compileGraph(defineConfig({ features }))

async function timers(database: TestDatabase): Promise<readonly string[]> {
  const { rows } = await database.query<{ at: string }>(
    `select to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at from rescore.timer order by due_at, feature`,
  )
  return rows.map(({ at: due }) => due)
}

async function values(database: TestDatabase, feature: string): Promise<readonly (number | null)[]> {
  const { rows } = await database.query<{ value: number | null }>(
    `select ${feature} as value from rescore.features_person order by key`,
  )
  return rows.map(({ value }) => value)
}

/** The instants at which the only timer fires, one after the other. */
async function instants(database: TestDatabase, driven: Driven, count: number): Promise<readonly string[]> {
  const found: string[] = []
  for (let step = 0; step < count; step += 1) {
    const [due] = await timers(database)
    if (due === undefined) break
    found.push(due)
    driven.nowMs = at(due) - 1
    await driven.idle()
    expect(await timers(database)).toEqual([due])
    driven.nowMs = at(due)
    await driven.idle()
    expect(await driven.check()).toEqual([])
  }
  return found
}

test('days begin at midnight of their zone: over both changeovers, on leap days and at the ends of months', async () => {
  await using database = await createTestDatabase('firing')
  await using driven = await openDriven(database, graphOf(days('Europe/Oslo')), tables, at('2024-03-29T12:00:00Z'))
  await driven.change(`insert into app.people values (1, '2024-03-29 08:00Z')`)
  await driven.idle()
  expect(await instants(database, driven, 3)).toEqual([
    '2024-03-29T23:00:00.000Z',
    '2024-03-30T23:00:00.000Z',
    '2024-03-31T22:00:00.000Z',
  ])
  expect(await values(database, 'days')).toEqual([3])
  driven.nowMs = at('2024-10-26T12:00:00Z')
  await driven.idle()
  expect(await instants(database, driven, 3)).toEqual([
    '2024-10-26T22:00:00.000Z',
    '2024-10-27T23:00:00.000Z',
    '2024-10-28T23:00:00.000Z',
  ])
  driven.nowMs = at('2028-02-28T12:00:00Z')
  await driven.idle()
  expect(await instants(database, driven, 2)).toEqual(['2028-02-28T23:00:00.000Z', '2028-02-29T23:00:00.000Z'])
  driven.nowMs = at('2028-04-30T12:00:00Z')
  await driven.idle()
  expect(await instants(database, driven, 1)).toEqual(['2028-04-30T22:00:00.000Z'])
})

test('history says what the time did, from its instant on, and nothing where nothing moved', async () => {
  await using database = await createTestDatabase('firing')
  const recent = theirs.window('1h', { on: 'at' })
  const graph = graphOf(
    number('visits', { count: recent.count() }, first),
    number('has_any', { all: theirs.count(), recent: recent.count() }, ({ all }) => Math.min(1, Number(all))),
  )
  await using driven = await openDriven(database, graph, tables, at('2024-06-01T10:00:00Z'))
  await driven.change(
    `with one as (insert into app.people values (1)) insert into app.visits values (1, 1, '2024-06-01 09:30Z')`,
  )
  await driven.idle()
  expect(await timers(database)).toEqual(['2024-06-01T10:30:00.000Z', '2024-06-01T10:30:00.000Z'])
  // Late by a long while: what is said of it is its instant all the same.
  driven.nowMs = at('2024-06-01T17:00:00Z')
  await driven.idle()
  const moves = await readMoves(database.pool, { entity: 'person', key: '1', limit: 10 })
  expect(moves.map((move) => move.op)).toEqual(['update', 'insert'])
  expect(moves[0]).toMatchObject({
    validAt: '2024-06-01T10:30:00.000000Z',
    moves: [{ feature: 'visits', from: 1, to: 0 }],
    causes: expect.arrayContaining([{ op: 'time', feature: 'visits', atMs: at('2024-06-01T10:30:00Z') }]),
  })
  expect(await timers(database)).toEqual([])
  const [row] = (await database.query('select source_at::text, source_lsn from rescore.features_person')).rows
  expect(row).toMatchObject({ source_at: '2024-06-01 10:30:00+00', source_lsn: expect.anything() })
})

test('what is put aside keeps its timers: time heals it', async () => {
  await using database = await createTestDatabase('firing')
  const picky = number('picky', { days: daysSince(person.columns.born) }, (given) => {
    if (given.days === 1) throw new Error('not on the first day')
    return first(given)
  })
  await using driven = await openDriven(database, graphOf(n, picky), tables, at('2024-06-01T10:00:00Z'))
  await driven.change(`insert into app.people values (1, '2024-06-01'), (2, '2024-05-31')`)
  const aside = async () =>
    (await database.query<{ key: string }>('select key from rescore.quarantine order by key')).rows.map(
      ({ key }) => key,
    )
  await driven.idle()
  expect(await aside()).toEqual(['2'])
  driven.nowMs = at('2024-06-02T00:00:00Z')
  await driven.idle()
  expect([await aside(), await values(database, 'picky')]).toEqual([['1'], [0, 2]])
  driven.nowMs = at('2024-06-03T00:00:00Z')
  await driven.idle()
  expect([await aside(), await values(database, 'picky')]).toEqual([[], [2, 3]])
  expect(await driven.check()).toEqual([])
})

test('timers go with their entity, and with a feature that knows the time no more', async () => {
  await using database = await createTestDatabase('firing')
  await using driven = await openDriven(database, graphOf(days('UTC'), n), tables, at('2024-06-01T10:00:00Z'))
  await driven.change(`insert into app.people values (1, '2024-06-01'), (2, '2024-06-01')`)
  await driven.idle()
  expect(await timers(database)).toHaveLength(2)
  await driven.change('delete from app.people where id = 1')
  await driven.idle()
  expect(await timers(database)).toHaveLength(1)
  const timeless = { ...number('days', { n: person.columns.n }, first), version: 2 }
  await (await openDriven(database, graphOf(timeless, n), tables, driven.nowMs))[Symbol.asyncDispose]()
  expect(await timers(database)).toEqual([])
})

test('a storm is spread over the slack, and while it is worked off a change goes first', {
  timeout: 300_000,
}, async () => {
  await using database = await createTestDatabase('storm')
  const storm = 20_000
  await using driven = await openDriven(database, graphOf(days('UTC', '2h'), n), tables, at('2024-06-01T20:00:00Z'))
  await driven.change(`insert into app.people select i, '2024-06-01 06:00Z', i from generate_series(1, ${storm}) i`)
  await driven.idle()
  const passed = async () => {
    await driven.idle()
    const { rows } = await database.query<{ count: bigint }>(
      'select count(*) as count from rescore.features_person where days = 1',
    )
    return Number(rows[0]?.count)
  }
  const midnight = at('2024-06-02T00:00:00Z')
  driven.nowMs = midnight
  expect(await passed()).toBeLessThan(storm / 100)
  driven.nowMs = midnight + HOUR_MS / 2
  const quarter = await passed()
  expect(quarter).toBeGreaterThan(storm * 0.2)
  expect(quarter).toBeLessThan(storm * 0.3)
  // All that is left at once.
  driven.nowMs = midnight + 2 * HOUR_MS
  await eventually(() => expect(driven.events.filter(({ type }) => type === 'fired').length).toBeGreaterThan(10))
  await driven.change('update app.people set n = -1 where id = 7')
  await eventually(
    () =>
      expect(driven.events).toContainEqual(
        expect.objectContaining({ key: '7', moves: [{ feature: 'n', from: 7, to: -1 }] }),
      ),
    { everyMs: 1 },
  )
  expect(await timers(database)).not.toHaveLength(0)
  expect(await passed()).toBe(storm)
})
