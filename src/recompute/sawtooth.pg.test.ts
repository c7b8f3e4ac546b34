/**
 * The cases of Chronon's sawtooth windows (SawtoothAggregatorTest, NaiveAggregator), told anew: events over weeks, queries
 * on and around the boundaries of days and hops, every aggregate over windows of several lengths and steps at once, held
 * against loops over all events. The head of a window is exact, its tail moves by hops, and what is due is when it moves.
 */
import { expect, test } from 'vitest'
import { openHarness } from '../../test/recompute/harness.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { withTransaction } from '../db/pool.ts'
import {
  bigint,
  DAY_MS,
  type Duration,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  integer,
  parseDuration,
  timestamp,
} from '../define/index.ts'
import { compileGraph } from '../graph/compile.ts'
import { computeRow } from './compute.ts'
import { Loader } from './load.ts'
import { compileProgram } from './program.ts'

const users = defineTable({ name: 'app.users', key: 'id', columns: { id: bigint().notNull() } })
const views = defineTable({
  name: 'app.views',
  key: 'id',
  columns: { id: integer().notNull(), user_id: bigint(), item: integer(), seconds: integer(), at: timestamp() },
})
const user = defineEntity({ name: 'user', table: users })
const seen = user.many(views, { foreignKey: 'user_id' })

const WINDOWS: readonly (readonly [Duration, Duration | undefined])[] = [
  ['30d', '1d'],
  ['7d', '1d'],
  ['7d', '1h'],
  ['1d', '1h'],
  ['1h', '5m'],
  ['1d', undefined],
]

const features = WINDOWS.map(([length, resolution], index) => {
  const rows = seen.window(length, { on: 'at', ...(resolution === undefined ? {} : { resolution }) })
  return defineFeature({
    entity: user,
    name: `w${index}`,
    version: 1,
    type: 'text',
    description: `${length} by ${resolution}`,
    inputs: {
      count: rows.count(),
      sum: rows.sum('seconds'),
      avg: rows.avg('seconds'),
      min: rows.min('seconds'),
      max: rows.max('seconds'),
      items: rows.countDistinct('item'),
      last: rows.latest('item', { orderBy: 'at' }),
      first: rows.top(1, { columns: ['id'], orderBy: 'at', order: 'asc' }),
    },
    compute: (given) => JSON.stringify(given),
  })
})

interface View {
  readonly id: number
  readonly item: number
  readonly seconds: number
  readonly at: number
}

/** All events, one by one. */
function naive(events: readonly View[], isIn: (view: View) => boolean): string {
  const found = events.filter(isIn).toSorted((a, b) => a.at - b.at || b.id - a.id)
  const seconds = found.map((view) => view.seconds)
  const sum = seconds.reduce((total, each) => total + each, 0)
  const newest = found.filter(({ at }) => at === found.at(-1)?.at)
  return JSON.stringify({
    count: found.length,
    sum,
    avg: found.length === 0 ? null : sum / found.length,
    min: found.length === 0 ? null : Math.min(...seconds),
    max: found.length === 0 ? null : Math.max(...seconds),
    items: new Set(found.map((view) => view.item)).size,
    last: newest[0]?.item ?? null,
    first: found.slice(0, 1).map(({ id }) => ({ id })),
  })
}

const END = Date.parse('2024-03-01')

/** Every boundary of a day, of an hour, a hop and a millisecond beside each, and scattered between them, in no order. */
function events(): readonly View[] {
  const at: number[] = []
  for (let day = -35; day <= 1; day += 1) for (const ms of [-1, 0, 1]) at.push(END + day * DAY_MS + ms)
  for (let hour = -30; hour <= 1; hour += 1) for (const ms of [-1, 0, 1]) at.push(END + hour * 3_600_000 + ms)
  for (let hop = -15; hop <= 1; hop += 1) for (const ms of [-1, 0, 1]) at.push(END + hop * 300_000 + ms)
  for (let n = 0; n < 600; n += 1) at.push(END - ((n * 7_919_333_177) % (36 * DAY_MS)))
  return at.map((each, id) => ({ id, item: (id * 7) % 23, seconds: (id * 131) % 997, at: each }))
}

const QUERIES = [
  ...[-1, 0, 1].flatMap((ms) => [
    END + ms,
    END - DAY_MS + ms,
    END + 3_600_000 + ms,
    END - 300_000 + ms,
    END + DAY_MS + ms,
  ]),
  END + 12_345_678,
  END - 98_765_432,
  END + 40 * DAY_MS,
]

test('windows with hops are what loops over all events give, on every boundary and beside it', async () => {
  await using database = await createTestDatabase('sawtooth')
  const graph = compileGraph(defineConfig({ features }))
  await openHarness(database, graph)
  const all = events()
  await database.query('insert into app.users values (1), (2)')
  await database.query(
    `insert into app.views (id, user_id, item, seconds, at) select id, 1, item, seconds, to_timestamp(at / 1000.0)
     from jsonb_to_recordset($1::jsonb) as e(id integer, item integer, seconds integer, at numeric)`,
    [JSON.stringify(all)],
  )
  const node = graph.entities.get('user')
  if (node === undefined) throw new Error('There is no user.')
  const program = compileProgram(node)
  const loader = new Loader(program)
  const everything = { forced: program.all, needed: program.all }
  await withTransaction(database.pool, {}, async (client) => {
    for (const nowMs of QUERIES) {
      const rows = await loader.load(client, program.all, ['1', '2'], nowMs)
      for (const row of rows) {
        const { values, due } = computeRow(program, row, everything, true)
        const events = row.key === '1' ? all : []
        for (const [bit, [length, resolution]] of WINDOWS.entries()) {
          const lengthMs = parseDuration('length', length)
          const hopMs = resolution === undefined ? null : parseDuration('resolution', resolution)
          const tail = hopMs === null ? nowMs - lengthMs + 1 : nowMs - lengthMs - ((nowMs - lengthMs) % hopMs)
          expect(values[bit], `${length} by ${resolution} at ${nowMs}`).toBe(
            naive(events, ({ at }) => at >= tail && at <= nowMs),
          )
          // Rows come one by one and leave by hops: whichever is next.
          const coming = events.filter(({ at }) => at > nowMs).map(({ at }) => at)
          const leaving = events
            .filter(({ at }) => at >= tail && at <= nowMs)
            .map(({ at }) => (hopMs === null ? at : at - (at % hopMs) + hopMs) + lengthMs)
          const next = Math.min(...coming, ...leaving)
          expect(due[bit]).toEqual({ bit, dueMs: Number.isFinite(next) ? next : null })
        }
      }
    }
  })
})
