/** Silence beside what time moves. */
import { expect, test } from 'vitest'
import { openHarness } from '../../test/recompute/harness.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { parseLsn } from '../db/lsn.ts'
import { withTransaction } from '../db/pool.ts'
import { date, daysSince, defineConfig, defineEntity, defineFeature, defineTable, text } from '../define/index.ts'
import { compileGraph } from '../graph/compile.ts'
import type { ApplyContext } from '../log/stage.ts'

const companies = defineTable({ name: 'app.companies', key: 'id', columns: { id: text().notNull(), born: date() } })
const company = defineEntity({ name: 'company', table: companies })
const age = defineFeature({
  entity: company,
  name: 'age',
  version: 1,
  type: 'integer',
  description: 'Days',
  inputs: { days: daysSince(company.columns.born, { zone: 'UTC' }) },
  compute: ({ days }) => days,
})

const DAY_MS = 86_400_000
const NOON_MS = Date.parse('2026-03-01T12:00:00Z')

test('what time has moved is scored when its timer fires, though a silent backfill computed it before', async () => {
  await using db = await createTestDatabase('silent_time')
  const harness = await openHarness(db, compileGraph(defineConfig({ features: [age] })))
  const at = <T>(nowMs: number, work: (context: ApplyContext) => Promise<T>) =>
    withTransaction(db.pool, { isolation: 'repeatable read' }, async (client) => {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      const snapshotLsn = parseLsn(rows[0]?.lsn ?? '')
      return work({ client, snapshotLsn, nowMs, signal: new AbortController().signal })
    })
  const row = async () => (await db.query('select age::integer as age, silenced_by from rescore.features_company')).rows
  const dues = async () => {
    const { rows } = await db.query<{ ms: number }>(
      'select (extract(epoch from due_at) * 1000)::float8 as ms from rescore.timer',
    )
    return rows.map(({ ms }) => ms)
  }
  harness.setNow(NOON_MS)
  await harness.apply(await harness.exec(`insert into app.companies values ('a', '2026-02-20')`))
  const [due = 0] = await dues()
  expect(await row()).toEqual([{ age: 9, silenced_by: null }])
  const cause = {
    table: 'rescore.backfill',
    key: '7',
    op: 'backfill',
    column: null,
    from: null,
    to: 'asked, silent',
    lsn: '0/0',
    committedAtMs: NOON_MS,
  } as const
  const asked = { entity: 'company', keys: ['a'], features: [], isForced: true, job: { cause, silencedBy: 7n } }
  await at(NOON_MS + DAY_MS, (context) => harness.stage.recompute(context, asked))
  expect(await row()).toEqual([{ age: 10, silenced_by: 7n }])
  expect(await dues()).toEqual([due])
  await at(NOON_MS + DAY_MS, (context) => harness.stage.fire(context, 'company', 10))
  expect(await row()).toEqual([{ age: 10, silenced_by: null }])
  expect(await dues()).toEqual([due + DAY_MS])
})
