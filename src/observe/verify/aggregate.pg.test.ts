/** The plain JavaScript of verify against PostgreSQL's own SQL, on random rows reached through an association. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../../test/support/pg.ts'
import { withTransaction } from '../../db/pool.ts'
import {
  type AggregateInput,
  type AnyWhere,
  bigint,
  type ColumnKind,
  date,
  decimal,
  defineEntity,
  defineTable,
  float,
  integer,
  number,
  text,
  timestamp,
  uuid,
} from '../../define/index.ts'
import { aggregate } from './aggregate.ts'
import { Walker } from './reach.ts'

const parents = defineTable({ name: 'public.parent', key: 'id', columns: { id: bigint().notNull() } })
const links = defineTable({
  name: 'public.link',
  key: ['parent', 'child', 'label'],
  columns: { parent: bigint().notNull(), child: text().notNull(), label: text().notNull() },
})
const columns = {
  id: text().notNull(),
  t: text(),
  i: integer(),
  b: bigint(),
  n: number(),
  d: decimal(),
  f: float(),
  day: date(),
  at: timestamp(),
  u: uuid(),
}
const children = defineTable({ name: 'public.child', key: 'id', columns })
const reached = defineEntity({ name: 'parent', table: parents }).many(children, {
  through: links,
  from: 'parent',
  to: 'child',
  throughWhere: { label: { not: 'off' } },
})

const SCHEMA = `
  create table parent (id bigint primary key);
  create table child (id text primary key, t text, i integer, b bigint, n numeric, d numeric, f double precision, day date, at timestamptz, u uuid);
  create table link (parent bigint, child text, label text, primary key (parent, child, label))`

const words = ['a', 'B', 'b', 'Z', 'é', 'z', '\u{10000}', '\uffee', '', 'a b', '10', '9']
const numerics = ['0', '0.1', '0.10', '1', '1.0', '-2.5', '12345678901234567890.123', '0.0000000000000000001', 'NaN']
const rowOf = fc.record({
  t: fc.option(fc.constantFrom(...words)),
  i: fc.option(fc.integer({ min: -5, max: 2_000_000_000 })),
  b: fc.option(fc.bigInt({ min: -9_000_000_000_000_000_000n, max: 9_000_000_000_000_000_000n })),
  n: fc.option(fc.constantFrom(...numerics)),
  d: fc.option(fc.constantFrom(...numerics)),
  f: fc.option(fc.constantFrom(0.1, 0.2, 1 / 3, 1e16, -1e16, -0.7)),
  day: fc.option(fc.constantFrom('2024-02-29', '1969-12-31', '0044-03-15 BC', '12024-01-01', '2024-03-01')),
  at: fc.option(
    fc.constantFrom('2024-02-29 12:00:00.123456+00', '1969-12-31 23:59:59.9+00', '2024-02-29 12:00:00.12+02'),
  ),
  u: fc.option(fc.constantFrom('0b0e7a1c-0000-4000-8000-000000000001', 'ffffffff-0000-4000-8000-00000000000a')),
  linked: fc.subarray(['one', 'two', 'off']),
})

/** [filter, the same as a condition in SQL] */
const FILTERS: readonly (readonly [AnyWhere, string])[] = [
  [{}, 'true'],
  [{ t: 'a' }, `t = 'a'`],
  [{ t: null }, 't is null'],
  [{ t: { not: 'a' } }, `t is distinct from 'a'`],
  [{ t: { not: null } }, 't is not null'],
  [{ t: { gte: 'a', lt: 'z' } }, `t collate "C" >= 'a' and t collate "C" < 'z'`],
  [{ i: { isNull: false }, n: { notIn: [1, 0.1] } }, 'i is not null and (n is null or n not in (1, 0.1))'],
  [{ n: { in: [1, 0.1] } }, 'n in (1, 0.1)'],
  [{ d: '1.00' }, 'd = 1'],
  [{ b: { gt: 0n } }, 'b > 0'],
  [{ u: { in: ['FFFFFFFF-0000-4000-8000-00000000000A'] } }, `u = 'ffffffff-0000-4000-8000-00000000000a'`],
  [{ f: { lte: 0.5 } }, 'f <= 0.5'],
  [{ day: { gt: '1970-01-01' } }, `day > '1970-01-01'`],
  [{ at: { gt: Date.UTC(2024, 1, 29, 11) } }, `at > '2024-02-29 11:00+00'`],
]

const asText = (kind: ColumnKind, sql: string) =>
  kind === 'timestamp' ? `((extract(epoch from ${sql}) * 1000000)::bigint)::text` : `(${sql})::text`
const inC = (kind: ColumnKind, sql: string) =>
  kind === 'uuid' ? `${sql}::text collate "C"` : kind === 'text' ? `${sql} collate "C"` : sql

function typed(kind: ColumnKind, given: string | null): unknown {
  if (given === null) return null
  if (kind === 'bigint') return BigInt(given)
  if (kind === 'timestamp') return Number(given) / 1000
  return ['integer', 'number', 'float'].includes(kind) ? Number(given) : given
}

interface Case {
  readonly name: string
  readonly input: AggregateInput
  readonly sql: string
  readonly expected: (given: string | null) => unknown
}

/** Every operation over every column it may have, as declared and as SQL over `r`. */
function cases(where: AnyWhere): readonly Case[] {
  const names = Object.keys(columns) as (keyof typeof columns)[]
  const all: Case[] = [{ name: 'count', input: reached.count({ where }), sql: 'count(*)::text', expected: Number }]
  const add = (name: string, input: AggregateInput, sql: string, expected: Case['expected']) =>
    all.push({ name, input, sql, expected })
  for (const name of names) {
    const { kind } = columns[name]
    const own = (given: string | null) => typed(kind, given)
    add(`distinct ${name}`, reached.countDistinct(name, { where }), `count(distinct ${name})::text`, Number)
    for (const orderBy of ['t', 'n', 'at'] as const) {
      const order = `${inC(columns[orderBy].kind, orderBy)} desc nulls last, id collate "C" desc`
      const sql = asText(kind, `(array_agg(${name} order by ${order}))[1]`)
      add(`latest ${name} by ${orderBy}`, reached.latest(name, { orderBy, where }), sql, own)
    }
  }
  for (const name of ['i', 'b', 'n', 'f'] as const) {
    const sum = `coalesce(sum(${name} order by id collate "C"), 0)`
    add(`sum ${name}`, reached.sum(name, { where }), `${sum}::text`, Number)
    add(`avg ${name}`, reached.avg(name, { where }), `${sum}::text || '|' || count(${name})`, (given) => {
      const [total, count] = (given ?? '').split('|').map(Number)
      return count === 0 ? null : Number(total) / Number(count)
    })
  }
  for (const name of ['t', 'i', 'b', 'n', 'f', 'day', 'at', 'u'] as const) {
    const { kind } = columns[name]
    for (const op of ['min', 'max'] as const) {
      const sql = asText(kind, `${op}(${inC(kind, name)})`)
      add(`${op} ${name}`, reached[op](name, { where }), sql, (given) => typed(kind, given))
    }
  }
  for (const order of ['asc', 'desc'] as const) {
    const input = reached.top(3, { columns: ['id', 'at'], orderBy: 'n', order, where })
    const cells = `jsonb_build_array(id, ${asText('timestamp', 'at')}) order by n ${order} nulls last, id collate "C" desc`
    add(`top ${order}`, input, `to_jsonb((array_agg(${cells}))[1:3])::text`, (given) => {
      const rows: readonly (readonly [string, string | null])[] = given === null ? [] : JSON.parse(given)
      return rows.map(([id, at]) => ({ id, at: typed('timestamp', at) }))
    })
  }
  return all
}

test('every aggregate, with every kind of filter, is what PostgreSQL says of the same rows', async () => {
  await using database = await createTestDatabase('verify_aggregate')
  await database.query(SCHEMA)
  await database.query('insert into parent values (1), (2)')
  const property = fc.asyncProperty(
    fc.array(rowOf, { maxLength: 12 }),
    fc.constantFrom(...FILTERS),
    async (rows, [where, condition]) => {
      await database.query('truncate child, link')
      for (const [index, { linked, ...row }] of rows.entries()) {
        const id = `${words[index]}${index}`
        await database.query('insert into child values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
          id,
          ...Object.values(row),
        ])
        for (const label of linked) await database.query('insert into link values (1, $1, $2)', [id, label])
      }
      const checks = cases(where)
      const { rows: answers } = await database.query<Record<string, string | null>>(
        `select ${checks.map(({ sql }, index) => `${sql} as c${index}`).join(', ')}
         from (select * from child
               where id in (select child from link where parent = 1 and label is distinct from 'off') and ${condition}) r`,
      )
      const walked = await withTransaction(database.pool, { readOnly: true }, (client) =>
        new Walker(client, ['1', '2']).walk(reached.path),
      )
      expect(walked.get('2')).toEqual([])
      const ours = checks.map(({ name, input }) => [name, aggregate(input, walked.get('1') ?? [])])
      expect(ours).toEqual(
        checks.map(({ name, expected }, index) => [name, expected(answers[0]?.[`c${index}`] ?? null)]),
      )
    },
  )
  await fc.assert(property, { numRuns: 100 })
})
