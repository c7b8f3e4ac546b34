/** Filters in SQL and filters on the text of a changed row, held against each other. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rawRows } from '../../test/recompute/oracle.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { ensureSourceTables } from '../connect/source-tables.ts'
import { quoteTable } from '../db/pool.ts'
import {
  bigint,
  boolean,
  type ColumnKind,
  date,
  decimal,
  defineTable,
  float,
  integer,
  json,
  number,
  text,
  timestamp,
  uuid,
} from '../define/index.ts'
import { surelyFails, whereSql } from './where.ts'

const table = defineTable({
  name: 'app.rows',
  key: 'id',
  columns: {
    id: integer().notNull(),
    integer: integer(),
    bigint: bigint(),
    number: number(),
    decimal: decimal(),
    float: float(),
    boolean: boolean(),
    text: text(),
    date: date(),
    timestamp: timestamp(),
    json: json(),
    uuid: uuid(),
  },
})

/** [as SQL text, as written in a filter] */
const VALUES: Readonly<Record<Exclude<ColumnKind, 'json'>, readonly (readonly [string, unknown])[]>> = {
  integer: [
    ['1', 1],
    ['2', 2],
    ['-3', -3],
  ],
  bigint: [
    ['9007199254740993', 9007199254740993n],
    ['5', 5n],
    ['5', 5],
  ],
  number: [
    ['1.50', 1.5],
    ['1.5', 1.5],
    ['2', 2],
  ],
  decimal: [
    ['1.0', '1.00'],
    ['2', '2'],
  ],
  float: [
    ['0.1', 0.1],
    ['-0', 0],
    ['1e300', 1e300],
  ],
  boolean: [
    ['true', true],
    ['false', false],
  ],
  uuid: [
    ['0b0e7a1c-0000-4000-8000-000000000001', '0b0e7a1c-0000-4000-8000-000000000001'],
    ['ffffffff-0000-4000-8000-00000000000a', 'FFFFFFFF-0000-4000-8000-00000000000A'],
  ],
  text: [
    ['o\'b\\"', 'o\'b\\"'],
    ['É', 'É'],
    ['Z', 'Z'],
    ['a', 'a'],
    ['', ''],
  ],
  date: [
    ['2024-02-29', '2024-02-29'],
    ['2024-02-29', '2024-2-29'],
    ['0999-01-01', '0999-01-01'],
  ],
  timestamp: [
    ['2024-01-01 00:00:00.001500+00', 1_704_067_200_001.5],
    ['1969-12-31 23:59:59.999999+00', -0.001],
  ],
}

const kinds = Object.keys(VALUES) as (keyof typeof VALUES)[]

const predicateOf = (kind: keyof typeof VALUES) => {
  const value = fc.constantFrom(...VALUES[kind].map(([, written]) => written))
  return fc.oneof(
    value,
    fc.constant(null),
    fc.array(value, { maxLength: 3 }).map((list) => ({ in: list })),
    fc.array(value, { maxLength: 3 }).map((list) => ({ notIn: list })),
    fc.option(value).map((not) => ({ not })),
    fc.boolean().map((isNull) => ({ isNull })),
    fc.tuple(fc.constantFrom('gt', 'gte', 'lt', 'lte'), value).map(([operator, bound]) => ({ [operator]: bound })),
  )
}

const wheres = fc
  .uniqueArray(fc.constantFrom(...kinds), { minLength: 1, maxLength: 3 })
  .chain((chosen) => fc.record(Object.fromEntries(chosen.map((kind) => [kind, predicateOf(kind)]))))

test('a row that surely fails fails in SQL, no filter is ever unknown, and equality of plain kinds is decided', async () => {
  await using db = await createTestDatabase('where')
  const client = await db.pool.connect()
  await ensureSourceTables(client, [table]).finally(() => client.release())
  const rows = Array.from({ length: 24 }, (_, id) =>
    kinds.map((kind, index) =>
      id % 6 === index % 6 ? null : (VALUES[kind][(id + index) % VALUES[kind].length]?.[0] ?? null),
    ),
  )
  for (const [id, row] of rows.entries()) {
    await db.query(
      `insert into app.rows (id, ${kinds.map((kind) => `"${kind}"`).join(', ')}) values ($1, ${kinds.map((_, i) => `$${i + 2}`).join(', ')})`,
      [id, ...row],
    )
  }
  const raw = await rawRows(db.pool, table)
  let pruned = 0
  await fc.assert(
    fc.asyncProperty(wheres, async (where) => {
      const result = await db.query<{ id: number; holds: boolean | null }>(
        `select t.id, ${whereSql('t', table, where)} as holds from ${quoteTable(table.id)} t`,
      )
      const holds = new Map(result.rows.map((row) => [String(row.id), row.holds]))
      for (const row of raw) {
        expect(holds.get(row.id ?? '')).not.toBeNull()
        if (!surelyFails(table, where, row)) continue
        pruned += 1
        expect(holds.get(row.id ?? ''), JSON.stringify(row)).toBe(false)
      }
    }),
    { numRuns: 300 },
  )
  // A check that never says "surely" would pass the property and prune nothing.
  expect(pruned).toBeGreaterThan(300)
  expect(surelyFails(table, { text: 'a' }, { text: 'b' })).toBe(true)
  expect(surelyFails(table, { boolean: { not: true } }, { boolean: 't' })).toBe(true)
  expect(surelyFails(table, { text: 'a' }, {})).toBe(false)
  expect(surelyFails(table, { text: 'a' }, null)).toBe(true)
})
