/** The share of nulls that a column may have: judged piece by piece, counted exactly, by one worker and by several. */
import { expect, test } from 'vitest'
import { defineConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { inVisibleSnapshot } from '../../src/log/visibility.ts'
import { createRecomputeStage } from '../../src/recompute/stage.ts'
import { batchOf } from '../recompute/harness.ts'
import { company, feature, open } from '../recompute/small.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'

const { n } = company.columns
const rated = (maxNullRate: number, otherwise: 'block' | 'quarantine' | 'warn' = 'block') =>
  feature('rated', { n }, ({ n }) => n, { expect: { maxNullRate, otherwise } })

/** As it is counted, and as it is. */
async function counts({ query }: TestDatabase) {
  const { rows } = await query<{ text: string }>(
    `select concat_ws(' ', sum(rows), sum(nulls)) as text from rescore.null_count where feature = 'rated'
     union all select concat_ws(' ', count(*), count(*) filter (where rated is null)) from rescore.features_company`,
  )
  return rows.map(({ text }) => text)
}

async function refused({ query }: TestDatabase, effect: string): Promise<number> {
  const { rows } = await query<{ count: number }>(
    `select count(*)::integer as count from rescore.violation where rule = 'maxNullRate' and effect = $1`,
    [effect],
  )
  return rows[0]?.count ?? 0
}

test('as many new nulls go through as there is room for, and more when there is more', async () => {
  await using db = await createTestDatabase('expect')
  const harness = await open(db, [rated(0.2)])
  // One piece, 10 of 100 null, the first row among them: it is not the share of a table of one.
  await harness.apply(
    await harness.exec(
      'insert into app.companies select i, case when i % 10 <> 1 then i end from generate_series(1, 100) i',
    ),
  )
  expect(await refused(db, 'aside')).toBe(0)
  const [counted, real] = await counts(db)
  expect(counted).toBe(real)
  await harness.apply(await harness.exec('update app.companies set n = null where id between 31 and 70'))
  const [countedThen, realThen] = await counts(db)
  expect(countedThen).toBe(realThen)
  const [rows, nulls] = (realThen ?? '').split(' ').map(Number)
  expect(nulls).toBe(Math.floor(0.2 * (rows ?? 0)))
  const held = await refused(db, 'held')
  expect(held).toBeGreaterThan(0)
  // What was blocked is what it was, and is tried again when it is asked for.
  expect(
    (
      await db.query(
        `select from rescore.violation v join rescore.features_company f on f.key::text = v.key and f.rated is null`,
      )
    ).rowCount,
  ).toBe(0)
  await harness.apply(await harness.exec('insert into app.companies select i, i from generate_series(1001, 1400) i'))
  expect(await refused(db, 'held')).toBe(held)
  const { rows: keys } = await db.query<{ key: string }>('select key from rescore.violation')
  const cause = { table: 'rescore.backfill', key: '1', column: null, from: null, to: 'asked', lsn: '0/0' } as const
  const job = { cause: { ...cause, op: 'backfill', committedAtMs: 0 }, silencedBy: null } as const
  const asked = { entity: 'company', keys: keys.map(({ key }) => key), features: ['rated'], isForced: true, job }
  await inVisibleSnapshot({ pool: db.pool, signal: new AbortController().signal }, [], (context) =>
    harness.stage.recompute(context, asked),
  )
  expect(await refused(db, 'held')).toBe(0)
  const after = await counts(db)
  expect(after[0]).toBe(after[1])
  // A row that went another way is mended at the next start.
  await db.query('delete from rescore.features_company where key = 1')
  const again = await open(db, [rated(0.2)])
  await again.sweep()
  const mended = await counts(db)
  expect(mended[0]).toBe(mended[1])
})

test('a new entity with a null too many is put aside, one that only warns is stored', async () => {
  await using db = await createTestDatabase('expect')
  const strict = await open(db, [rated(0.5)])
  await strict.apply(await strict.exec('insert into app.companies values (1, 1), (2, null), (3, null), (4, null)'))
  expect([await counts(db), await refused(db, 'aside')]).toEqual([['2 1', '2 1'], 2])
  const soft = await open(db, [rated(0.5, 'warn')])
  await soft.sweep()
  expect([await counts(db), await refused(db, 'stored'), await refused(db, 'aside')]).toEqual([['4 3', '4 3'], 2, 0])
})

test('workers that share the stage never give the same room away twice', async () => {
  await using db = await createTestDatabase('expect')
  const graph = compileGraph(defineConfig({ features: [rated(0.1)] }))
  const harness = await open(db, [rated(0.1)])
  await harness.apply(await harness.exec('insert into app.companies select i, i from generate_series(1, 400) i'))
  const changes = await harness.exec('update app.companies set n = null where id <= 200')
  const workers = Array.from({ length: 4 }, (_, worker) => {
    const stage = createRecomputeStage({ graph, report: () => undefined, strict: true })
    return { stage, mine: changes.filter((_, index) => index % 4 === worker) }
  })
  const { signal } = new AbortController()
  await Promise.all(
    workers.map(async ({ stage, mine }) => {
      for (let from = 0; from < mine.length; from += 10) {
        const work = stage.plan({ ...batchOf(mine.slice(from, from + 10)), source: { topic: 'any', partition: 0 } })
        if (work === null) throw new Error('There is something to do.')
        await inVisibleSnapshot({ pool: db.pool, signal, isShared: true }, [], (context) => stage.apply(work, context))
      }
    }),
  )
  expect([await counts(db), await refused(db, 'held')]).toEqual([['400 40', '400 40'], 160])
})
