/** Plans: what they say would happen is what happens, and until then nothing does. */
import { expect, test } from 'vitest'
import { act } from '../../src/backfill/job.ts'
import { readProgress } from '../../src/backfill/progress.ts'
import { defineConfig, defineFeature, type ProjectConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { makePlan } from '../../src/plan/plan.ts'
import { loadModels } from '../../src/score/registry.ts'
import { calm, startIn } from '../chaos/running.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { company } from '../support/project.ts'
import { projectConfig } from '../support/project-features.ts'
import { createProject, FILLED } from '../support/project-sql.ts'
import { ended, nextRelease } from './setting.ts'

const EVERY_ONE = 1_000

async function planOf({ pool }: TestDatabase, config: ProjectConfig, sample = EVERY_ONE) {
  await using models = await loadModels(config.models)
  const { signal } = new AbortController()
  return await makePlan({ pool, graph: compileGraph(config), models, sample, approveAbove: 10, signal })
}

/** Everything a deployment or a backfill could have written. */
async function written(database: TestDatabase): Promise<string> {
  const { rows } = await database.query<{ digest: string }>(
    `select md5(concat(
       (select string_agg(d::text, ',' order by d.entity, d.feature) from rescore.definition d),
       (select string_agg(f::text, ',' order by f.key) from rescore.features_company f),
       (select string_agg(c::text, ',' order by c.key, c.model) from rescore.classification c),
       (select count(*) from rescore.backfill))) as digest`,
  )
  return rows[0]?.digest ?? ''
}

async function flips(database: TestDatabase): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    `select count(*)::integer as count from rescore.classification_history where op = 'update' and from_label <> to_label`,
  )
  return rows[0]?.count ?? 0
}

test('counts, moved values and flipped labels of a plan are those of the deployment', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  expect(await planOf(database, projectConfig)).toMatchObject({ isEmpty: true, entities: [] })
  const next = nextRelease('visits', { version: 2, compute: ({ count }) => 900 - Number(count) * 50 }, 10)
  const before = await written(database)
  const plan = await planOf(database, next)
  expect(await written(database)).toBe(before)
  const [entity] = plan.entities
  expect(entity).toMatchObject({
    entity: 'company',
    added: [],
    changed: ['visits'],
    edited: [],
    readers: ['profile'],
    affectedModels: ['pair'],
    models: [],
    stale: { count: FILLED.company, isExact: true },
    needsApproval: true,
    unsampled: null,
  })
  expect(entity?.sample?.entities).toBe(FILLED.company)
  const [label] = entity?.sample?.labels ?? []
  expect(label).toMatchObject({ model: 'pair', compared: FILLED.company })
  expect(label?.flipped).toBeGreaterThan(0)

  const flipped = await flips(database)
  await using _running = await startIn(database, next)
  const [backfill] = await readProgress(database.pool, 1)
  if (backfill === undefined) throw new Error('Nothing was planned.')
  expect(backfill.total).toBe(entity?.stale.count)
  await act(database.pool, backfill.id, 'approve')
  const done = await ended(database, backfill)
  expect(done.changed).toBe(entity?.sample?.changed)
  await calm(database)
  expect((await flips(database)) - flipped).toBe(label?.flipped)
  expect((await planOf(database, next)).isEmpty).toBe(true)
})

test('features added, edited under their version, and removed are told apart', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const added = defineFeature({
    entity: company,
    name: 'shouting',
    version: 1,
    type: 'text',
    description: '',
    inputs: { name: company.columns.name },
    compute: ({ name }) => {
      if (name === 'Company 3') throw new Error('three is too quiet')
      return name?.toUpperCase() ?? null
    },
  })
  const edited = nextRelease('stars', { compute: () => 5 }, 10)
  const features = [...edited.features.filter(({ name }) => name !== 'weight'), added]
  const plan = await planOf(database, defineConfig({ features, models: edited.models }))
  const [entity] = plan.entities
  expect(entity).toMatchObject({ added: ['shouting'], changed: [], edited: ['stars'], removed: ['weight'] })
  expect(entity?.sample).toMatchObject({ failed: 1, firstFailure: expect.stringContaining('three is too quiet') })
  const moved = new Map(entity?.sample?.features.map(({ feature, changed }) => [feature, changed]))
  expect(moved.get('shouting')).toBe(FILLED.company - 1)
  expect(moved.get('stars')).toBeGreaterThan(0)
  const counted = await planOf(database, defineConfig({ features, models: edited.models }), 0)
  expect(counted.entities[0]).toMatchObject({ sample: null, stale: { count: FILLED.company } })
})

test('a plan for columns that are not there yet says so instead of failing', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  await database.query('alter table app.company rename column founded_at to founded')
  const next = nextRelease('profile', { version: 2 }, 10)
  const plan = await planOf(database, next)
  expect(plan.entities[0]).toMatchObject({ changed: ['profile'], sample: null })
  expect(plan.entities[0]?.unsampled).toContain('founded_at')
})

test('a rename is told as what it is: one feature gone, and one of the same code computed anew', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const renamed = projectConfig.features.map((feature) =>
    feature.name === 'stars' ? { ...feature, name: 'best' } : feature,
  )
  const config = defineConfig({ features: renamed, models: projectConfig.models })
  const [entity] = (await planOf(database, config)).entities
  expect(entity).toMatchObject({ added: ['best'], removed: ['stars'], renamed: [{ from: 'stars', to: 'best' }] })
  const changed = renamed.map((one) => (one.name === 'best' ? { ...one, compute: () => 1 } : one))
  const [other] = (await planOf(database, defineConfig({ features: changed, models: projectConfig.models }))).entities
  expect(other).toMatchObject({ added: ['best'], removed: ['stars'], renamed: [] })
})

test('what a start would refuse is said, and needs a decision', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database, nextRelease('visits', { version: 2 }, 1_000))
    await calm(database)
  }
  const older = await planOf(database, projectConfig)
  expect(older.refusals).toMatchObject([{ code: 'FEATURE_OUTDATED', mend: expect.stringContaining('--rollback') }])
  expect(older.decisions.join()).toContain('company.visits is version 1 here, and version 2 is deployed')
  const retyped = await planOf(database, nextRelease('stars', { type: 'text', compute: () => 'x' }, 10), 0)
  expect(retyped.refusals.map(({ code }) => code)).toContain('FEATURE_TYPE_CHANGED')
})

test('of a large table pages are drawn, and the plan says how many rows there are', async () => {
  await using database = await createTestDatabase('plan')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  await database.query(`insert into app.company (id, name) select 1000000 + n, 'c' from generate_series(1, 150000) n`)
  await database.query('analyze app.company')
  const plan = await planOf(database, nextRelease('size', { version: 2 }, 10), 300)
  expect(plan.entities[0]).toMatchObject({ stale: { count: FILLED.company + 150_000, isExact: true } })
  expect(plan.entities[0]?.sample?.entities).toBe(300)
})
