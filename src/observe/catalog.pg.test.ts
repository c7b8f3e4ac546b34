/** The catalog of a running service: versions, stored values, and what computing was for nothing. */
import { expect, test } from 'vitest'
import { ask, ended, nextRelease, release } from '../../test/backfill/setting.ts'
import { calm, startIn } from '../../test/chaos/running.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { projectConfig } from '../../test/support/project-features.ts'
import { createProject, FILLED } from '../../test/support/project-sql.ts'
import type { ProjectConfig } from '../define/index.ts'
import { compileGraph } from '../graph/compile.ts'
import { readCatalog } from './catalog.ts'

async function entryOf({ pool }: TestDatabase, name: string, config: ProjectConfig = projectConfig) {
  const entries = await readCatalog(pool, compileGraph(config))
  const found = entries.find(({ entity, feature }) => entity === 'company' && feature === name)
  if (found === undefined) throw new Error(`There is no ${name}.`)
  return found
}

test('the catalog says what is stored of each feature, and how much computing changed nothing', async () => {
  await using database = await createTestDatabase('catalog')
  await createProject(database.pool)
  await using _running = await startIn(database)
  await calm(database)
  await ended(database, await ask(database, { features: ['about_length'] }))
  await eventually(async () => {
    const entry = await entryOf(database, 'about_length')
    expect(entry).toMatchObject({
      type: 'integer',
      version: 1,
      deployedVersion: 1,
      rows: FILLED.company,
      fresh: FILLED.company,
      nullRate: 0.75,
      isNullRateExact: true,
      freshnessSeconds: expect.any(Number),
      expect: null,
      violations: 0,
      reads: ['app.company.about'],
      computed: 2 * FILLED.company,
      cutOffRatio: 1 - 6 / (2 * FILLED.company),
    })
  })
})

test('what waits for a backfill, and what is not deployed yet, is said', async () => {
  await using database = await createTestDatabase('catalog')
  await createProject(database.pool)
  await using _running = await startIn(database)
  await calm(database)
  const planned = await release(database, ['visits'], 'planned')
  expect(await entryOf(database, 'visits')).toMatchObject({ fresh: 0, rows: FILLED.company, backfill: planned.id })
  const next = nextRelease('stars', { version: 2 }, 10)
  expect(await entryOf(database, 'stars', next)).toMatchObject({ version: 2, deployedVersion: 1 })
})
