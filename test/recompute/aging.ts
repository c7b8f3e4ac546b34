/** A company whose features age: every kind of window, day and period, with each step, zone and slack. */
import fc from 'fast-check'
import { quoteTable } from '../../src/db/pool.ts'
import {
  type AnyFeature,
  type AnyInput,
  bigint,
  boolean,
  type ColumnInput,
  DAY_MS,
  date,
  dateOfDay,
  daysSince,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  float,
  integer,
  refreshEvery,
  type Table,
  timestamp,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { TestDatabase } from '../support/pg.ts'
import { show } from './crm.ts'

export const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: bigint().notNull(), seen: timestamp(), born: date() },
})
export const deals = defineTable({
  name: 'app.deals',
  key: 'id',
  columns: {
    id: integer().notNull(),
    company_id: bigint(),
    n: integer(),
    flo: float(),
    yes: boolean(),
    at: timestamp(),
    day: date(),
  },
})
export const lines = defineTable({
  name: 'app.lines',
  key: 'id',
  columns: { id: integer().notNull(), deal_id: integer(), n: integer(), at: timestamp() },
})
export const tables: readonly Table[] = [companies, deals, lines]

const company = defineEntity({ name: 'company', table: companies })
const sales = company.many(deals, { foreignKey: 'company_id' })
const items = sales.many(lines, { foreignKey: 'deal_id' })

function shown(name: string, inputs: Readonly<Record<string, AnyInput>>): AnyFeature {
  return defineFeature({
    entity: company,
    name,
    version: 1,
    type: 'text',
    description: name,
    inputs: inputs as Readonly<Record<string, ColumnInput<unknown>>>,
    compute: (given) => show(given),
  })
}

const recent = sales.window('36h', { on: 'at' })
const late = { slack: '5h' } as const
const inputs: Readonly<Record<string, Readonly<Record<string, AnyInput>>>> = {
  exact: { count: recent.count(), sum: recent.sum('n'), first: recent.min('at'), all: sales.count() },
  exact_where: {
    yes: recent.count({ where: { yes: true } }),
    n: recent.countDistinct('n', { where: { n: { gte: 2 } } }),
  },
  exact_rows: {
    top: recent.top(2, { columns: ['id', 'at'], orderBy: 'n' }),
    latest: recent.latest('n', { orderBy: 'at', where: { yes: { not: true } } }),
  },
  seconds: { sum: sales.window('90s', { on: 'at' }).sum('flo') },
  hours: { avg: sales.window('12h', { on: 'at', resolution: '1h' }).avg('n') },
  days_utc: { avg: sales.window('4d', { on: 'at', resolution: '2d' }).avg('flo') },
  days_oslo: { max: sales.window('2d', { on: 'at', zone: 'Europe/Oslo' }).max('n') },
  weeks_st_johns: { count: sales.window('6d', { on: 'at', zone: 'America/St_Johns', resolution: '3d' }).count() },
  dates: { count: sales.window('3d', { on: 'day' }).count({ where: { yes: true } }) },
  dates_sao_paulo: { sum: sales.window('1d', { on: 'day', zone: 'America/Sao_Paulo', ...late }).sum('n') },
  lines: { sum: items.window('36h', { on: 'at' }).sum('n') },
  late: { count: sales.window('36h', { on: 'at', ...late }).count(), days: daysSince(company.columns.seen, late) },
  two: {
    week: sales.window('6d', { on: 'at', resolution: '1d' }).count(),
    day: sales.window('1d', { on: 'at', resolution: '1h' }).count(),
    began: refreshEvery('8h', late),
  },
  days_seen: { days: daysSince(company.columns.seen, { zone: 'Australia/Lord_Howe' }) },
  days_born: { days: daysSince(company.columns.born, { zone: 'America/Havana' }), born: company.columns.born },
  period: { began: refreshEvery('6h') },
  timeless: { sum: sales.sum('n'), seen: company.columns.seen },
}

const timed = Object.fromEntries(Object.entries(inputs).map(([name, given]) => [name, shown(name, given)]))
const isBusy = defineFeature({
  entity: company,
  name: 'is_busy',
  version: 1,
  type: 'boolean',
  description: 'Seldom another value though its input often is',
  inputs: { count: recent.count() },
  compute: ({ count }) => count >= 2,
})
const features = [
  ...Object.values(timed),
  isBusy,
  shown('reads_busy', { busy: isBusy }),
  shown('reads_both', { exact: timed.exact ?? isBusy, days: timed.days_seen ?? isBusy, began: refreshEvery('1d') }),
]

export const graph = compileGraph(defineConfig({ features }))

const BASES = ['2024-03-31', '2024-10-27', '2024-11-03', '2018-11-04', '2024-04-07', '2010-11-07', '2024-02-29'].map(
  Date.parse,
)

/** Milliseconds since 1970, around one of the days on which clocks change, whole hours and midnights often. */
export const momentNear = (base: number): fc.Arbitrary<number> =>
  fc
    .tuple(
      fc.integer({ min: -5 * 24, max: 5 * 24 }),
      fc.constantFrom(0, 0, 1, 1_800_000, 59_999, 3_599_999),
      fc.constantFrom(0, 0, 0, 90_000),
    )
    .map(([hours, ms, more]) => base + hours * 3_600_000 + ms + more)

export const base = fc.constantFrom(...BASES)

/** PostgreSQL's text of a time, microseconds and all. */
const timeNear = (near: number): fc.Arbitrary<string | null> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.tuple(momentNear(near), fc.constantFrom(0, 0, 1, 999)).map(timeText) },
    { weight: 1, arbitrary: fc.constantFrom(null, 'infinity', '-infinity') },
  )

function timeText([ms, micros]: readonly [number, number]): string {
  return new Date(ms).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`)
}

const dateNear = (near: number): fc.Arbitrary<string | null> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: -6, max: 6 }).map((days) => dateOfDay(near / DAY_MS + days)) },
    { weight: 1, arbitrary: fc.constantFrom(null, 'infinity', '0044-03-15 BC') },
  )

export const COMPANY_KEYS = ['1', '2', '30']

export type AgingRow = Readonly<Record<string, string | number | boolean | null>>

const number = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 4 }))

export function companyNear(near: number): fc.Arbitrary<AgingRow> {
  return fc.record({ id: fc.constantFrom(...COMPANY_KEYS), seen: timeNear(near), born: dateNear(near) })
}

export function dealNear(near: number): fc.Arbitrary<AgingRow> {
  return fc.record({
    id: fc.integer({ min: 1, max: 9 }),
    company_id: fc.constantFrom(...COMPANY_KEYS),
    n: number,
    flo: fc.constantFrom(null, 0.1, 0.2, 1e16, -3),
    yes: fc.constantFrom(null, true, true, false),
    at: timeNear(near),
    day: dateNear(near),
  })
}

export function lineNear(near: number): fc.Arbitrary<AgingRow> {
  return fc.record({
    id: fc.integer({ min: 1, max: 9 }),
    deal_id: fc.integer({ min: 1, max: 9 }),
    n: number,
    at: timeNear(near),
  })
}

/** SQL that brings a row in, in place of one of the same key. */
export function upsertSql(table: Table): string {
  const columns = Object.keys(table.columns)
  const set = columns.map((column) => `${column} = excluded.${column}`).join(', ')
  return `insert into ${quoteTable(table.id)} (${columns.join(', ')})
    select ${columns.join(', ')} from jsonb_populate_recordset(null::${quoteTable(table.id)}, $1::jsonb)
    on conflict (${table.key.join(', ')}) do update set ${set}`
}

export interface AgingRows {
  readonly companies: readonly AgingRow[]
  readonly deals: readonly AgingRow[]
  readonly lines: readonly AgingRow[]
}

/** Rows of one id each. */
export function rowsNear(near: number): fc.Arbitrary<AgingRows> {
  const unique = { selector: (row: AgingRow) => row.id ?? null }
  return fc.record({
    companies: fc.uniqueArray(companyNear(near), { ...unique, minLength: 1, maxLength: 3 }),
    deals: fc.uniqueArray(dealNear(near), { ...unique, maxLength: 9 }),
    lines: fc.uniqueArray(lineNear(near), { ...unique, maxLength: 6 }),
  })
}

/** These rows and no others. */
export async function replaceRows(db: TestDatabase, rows: AgingRows): Promise<void> {
  for (const table of tables) await db.query(`delete from ${quoteTable(table.id)}`)
  await db.query(upsertSql(companies), [JSON.stringify(rows.companies)])
  await db.query(upsertSql(deals), [JSON.stringify(rows.deals)])
  await db.query(upsertSql(lines), [JSON.stringify(rows.lines)])
}
