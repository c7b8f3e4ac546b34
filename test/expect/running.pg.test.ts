/** Expectations of a running service, over restarts: plans, labels, letting a value through, and verify with all of it. */
import { expect, test } from 'vitest'
import { acceptValues } from '../../src/backfill/accept.ts'
import type { Expectation } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { readCatalog } from '../../src/observe/catalog.ts'
import { explain } from '../../src/observe/explain.ts'
import { readStatus } from '../../src/observe/status.ts'
import { makePlan } from '../../src/plan/plan.ts'
import { loadModels } from '../../src/score/registry.ts'
import { ask, companies, ended, nextRelease } from '../backfill/setting.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { contactKey, createProject } from '../support/project-sql.ts'

/** The test project, with something expected of the visits of a company; a model and a feature read them. */
const expecting = (expectation: Expectation) => nextRelease('visits', { expect: expectation }, 1_000)

async function numbers({ query }: TestDatabase, sql: string): Promise<number> {
  const { rows } = await query<{ count: number }>(`select count(*)::integer as count from ${sql}`)
  return rows[0]?.count ?? 0
}

test('what a plan counts is what is put aside, and verify agrees before and after', async () => {
  await using database = await createTestDatabase('expect')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const strict = expecting({ max: 1, otherwise: 'quarantine' })
  const above = await numbers(database, 'rescore.features_company where visits > 1')
  expect(above).toBeGreaterThan(1)
  await using models = await loadModels(strict.models)
  const { signal } = new AbortController()
  const plan = await makePlan({ ...database, graph: compileGraph(strict), models, sample: 0, approveAbove: 10, signal })
  expect(plan.entities).toMatchObject([
    {
      expectations: [{ feature: 'visits', otherwise: 'quarantine', isRecomputed: false, broken: above }],
      changed: [],
      edited: [],
      stale: { count: 0 },
    },
  ])
  const before = await database.query('select key, scored_at from rescore.classification order by key')
  {
    await using _running = await startIn(database, strict)
    await calm(database)
    expect(await numbers(database, `rescore.quarantine where code = 'FEATURE_EXPECTATION'`)).toBe(above)
    expect(await numbers(database, `rescore.violation where effect = 'aside'`)).toBe(above)
    await using checker = await createChecker(strict)
    expect((await checker.check(database)).differences).toEqual([])
    const catalog = await readCatalog(database.pool, compileGraph(strict))
    const company = catalog.filter(({ entity }) => entity === 'company')
    expect(company.find(({ feature }) => feature === 'visits')).toMatchObject({ violations: above })
    for (const { rows, fresh, stale, aside } of company) {
      expect([rows, fresh, stale, aside]).toEqual([24, 24 - above, 0, above])
    }
    const again = await makePlan({
      ...database,
      graph: compileGraph(strict),
      models,
      sample: 0,
      approveAbove: 10,
      signal,
    })
    expect(again.isEmpty).toBe(true)
  }
  await using _running = await startIn(database)
  await calm(database)
  expect(await numbers(database, 'rescore.quarantine')).toBe(0)
  // No value moved in all this, so nothing was scored.
  expect((await database.query('select key, scored_at from rescore.classification order by key')).rows).toEqual(
    before.rows,
  )
  await using checker = await createChecker()
  expect((await checker.check(database)).differences).toEqual([])
})

test('a jump is held back over a restart, seen by whoever looks, and let through as it is and no other', async () => {
  await using database = await createTestDatabase('expect')
  await createProject(database.pool)
  const { query } = database
  const config = expecting({ maxDelta: 5, otherwise: 'block' })
  await using checker = await createChecker(config)
  const visit = (count: number) =>
    query(
      `insert into app.event select (select max(id) from app.event) + i, $1, 'visit', 1, '2026-01-02'
       from generate_series(1, ${count}) i`,
      [contactKey(1)],
    )
  const stateOf = async () => {
    const { rows } = await query<{ visits: number }>(
      'select visits::integer from rescore.features_company where key = 1',
    )
    const score = await query(`select label, probability, scored_at from rescore.classification where key = '1'`)
    return { visits: rows[0]?.visits ?? 0, score: score.rows }
  }
  const held = async () => (await explain(database.pool, { entity: 'company', key: '1', limit: 1 })).violations
  {
    await using _running = await startIn(database, config)
    await calm(database)
    const first = await stateOf()
    await visit(20)
    await calm(database)
    expect(await stateOf()).toEqual(first)
    expect(await held()).toMatchObject([
      { feature: 'visits', rule: 'maxDelta', effect: 'held', value: first.visits + 20 },
    ])
    expect((await checker.check(database)).differences).toEqual([])
    // A block that nothing justifies is a difference, and so is one that nobody wrote down.
    await query('update rescore.violation set effect = $1', ['stored'])
    expect((await checker.check(database)).differences).toMatchObject([{ kind: 'violation', key: '1', what: 'visits' }])
    await query('update rescore.violation set effect = $1', ['held'])
    await query('update rescore.features_company set visits = visits + 16 where key = 1')
    expect((await checker.check(database)).differences.map(({ kind }) => kind)).toContain('feature-value')
    await query('update rescore.features_company set visits = visits - 16 where key = 1')
  }
  await using _running = await startIn(database, config)
  await calm(database)
  const { visits } = await stateOf()
  const { violations } = await readStatus(database.pool)
  expect(violations).toMatchObject([{ feature: 'visits', rule: 'maxDelta', effect: 'held', count: 1, accepted: 0 }])
  expect(violations[0]?.oldestSeconds).toBeGreaterThan(0)
  // Tried again it is held back again, and counted as what it is.
  expect(await ended(database, await ask(database, { policy: 'failed' }))).toMatchObject({ unchanged: 1, total: 1 })

  await visit(1)
  await calm(database)
  const [now] = await held()
  expect(now).toMatchObject({ value: visits + 21 })
  // Accepted is what was seen: one more visit, and it is held back again.
  await query(`update rescore.violation set accepted_at = now(), value = to_json($1::integer)`, [visits + 20])
  expect(await ended(database, await ask(database, { policy: 'failed' }))).toMatchObject({ unchanged: 1 })
  expect(await held()).toMatchObject([{ value: visits + 21, acceptedAt: null }])

  const { count, backfill } = await acceptValues(database.pool, companies(), 'visits', ['1', '2'])
  expect(count).toBe(1)
  expect(await ended(database, backfill)).toMatchObject({ changed: 1, total: 1 })
  await calm(database)
  expect([(await stateOf()).visits, await held()]).toEqual([visits + 21, []])
  expect((await checker.check(database)).differences).toEqual([])
  await expect(acceptValues(database.pool, companies(), 'visits', null)).rejects.toThrow(/No value of company.visits/)
})

test('a value accepted against a rule it breaks for good stays accepted, and the next one is held back', async () => {
  await using database = await createTestDatabase('expect')
  await createProject(database.pool)
  const config = expecting({ max: 1, otherwise: 'block' })
  await using checker = await createChecker(config)
  await using _running = await startIn(database, config)
  await calm(database)
  const { rows } = await database.query<{ key: string; value: number }>(
    `select key, value from rescore.violation where feature = 'visits' and effect = 'aside' order by key limit 1`,
  )
  const [{ key, value }] = rows as [{ key: string; value: number }]
  await ended(database, (await acceptValues(database.pool, companies(), 'visits', [key])).backfill)
  await calm(database)
  const stored = async () =>
    (await database.query('select visits::integer from rescore.features_company where key = $1', [key])).rows
  expect(await stored()).toEqual([{ visits: value }])
  expect((await checker.check(database)).differences).toEqual([])
  await ended(database, await ask(database, { features: ['visits'] }))
  expect(await stored()).toEqual([{ visits: value }])
  expect(await numbers(database, `rescore.violation where accepted_at is not null and effect = 'stored'`)).toBe(1)
  expect((await checker.check(database)).differences).toEqual([])
})
