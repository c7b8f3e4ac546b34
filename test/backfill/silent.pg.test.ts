/** Silent backfills: values move, labels do not, until somebody asks or something else touches the entity. */
import { expect, test } from 'vitest'
import { act } from '../../src/backfill/job.ts'
import { readProgress } from '../../src/backfill/progress.ts'
import { readMoves } from '../../src/history/entity-history.ts'
import { explain } from '../../src/observe/explain.ts'
import { readStatus } from '../../src/observe/status.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject, FILLED } from '../support/project-sql.ts'
import { ask, countsOf, ended, SECOND_RELEASE } from './setting.ts'

async function labels(database: TestDatabase): Promise<Readonly<Record<string, string>>> {
  const { rows } = await database.query<{ key: string; label: string }>(
    'select key, label from rescore.classification order by key',
  )
  return Object.fromEntries(rows.map(({ key, label }) => [key, label]))
}

/** The second release is deployed, and every company computed silently. */
async function silentRelease(database: TestDatabase): Promise<bigint> {
  const [planned] = await readProgress(database.pool, 1)
  if (planned === undefined) throw new Error('Nothing was planned.')
  await act(database.pool, planned.id, 'approve', { by: 'olga', isSilent: true })
  expect(countsOf(await ended(database, planned))).toMatchObject({ changed: FILLED.company })
  await calm(database)
  return planned.id
}

test('values move and are remembered with the job as their cause, labels stay, also over a restart, and it is told', async () => {
  await using database = await createTestDatabase('silent')
  await createProject(database.pool)
  await using checker = await createChecker(SECOND_RELEASE())
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const before = await labels(database)
  expect(new Set(Object.values(before))).toEqual(new Set(['quiet', 'busy']))
  let backfill = 0n
  {
    await using _running = await startIn(database, SECOND_RELEASE())
    await calm(database)
    backfill = await silentRelease(database)
    expect(await labels(database)).toEqual(before)
  }
  await using _running = await startIn(database, SECOND_RELEASE())
  await calm(database)
  expect(await labels(database)).toEqual(before)
  expect(await checker.check(database)).toMatchObject({ differences: [], silenced: FILLED.company })
  const { silenced } = await readStatus(database.pool)
  expect(silenced).toEqual([{ entity: 'company', backfill, count: FILLED.company }])

  const cause = {
    op: 'backfill',
    table: 'rescore.backfill',
    key: `${backfill}`,
    to: 'deployed, approved by olga, silent',
  }
  const [move] = await readMoves(database.pool, { entity: 'company', key: '3', limit: 1 })
  expect(move).toMatchObject({ kind: 'features', causes: [cause], causesLeftOut: 0 })
  const explained = await explain(database.pool, { entity: 'company', key: '3', limit: 1 })
  expect(explained).toMatchObject({ silenced: { backfill }, steps: [{ causes: [cause], scores: [] }] })
})

test('silence ends for an entity by any change of it, and for all by a backfill of what is silenced', async () => {
  await using database = await createTestDatabase('silent')
  await createProject(database.pool)
  await using checker = await createChecker(SECOND_RELEASE())
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const before = await labels(database)
  await using _running = await startIn(database, SECOND_RELEASE())
  await calm(database)
  await silentRelease(database)
  const [first = '', second = '', third = ''] = Object.keys(before).filter((key) => before[key] === 'quiet')
  // Moves no input of the model, and no value that is stored.
  await database.query('update app.company set name = name || $2 where id = $1', [first, '!'])
  await calm(database)
  expect(await labels(database)).toEqual({ ...before, [first]: 'busy' })
  const again = await ended(database, await ask(database, { ids: [second], features: ['size'] }))
  expect(countsOf(again)).toMatchObject({ unchanged: 1 })
  await calm(database)
  expect(await labels(database)).toEqual({ ...before, [first]: 'busy', [second]: 'busy' })
  expect((await explain(database.pool, { entity: 'company', key: second, limit: 1 })).silenced).toBeNull()

  const some = await ended(database, await ask(database, { policy: 'silenced', condition: `id = ${third}` }))
  expect([some.total, countsOf(some)]).toEqual([1, { changed: 0, unchanged: 1, fresh: 0, failed: 0, gone: 0 }])
  const rest = await ended(database, await ask(database, { policy: 'silenced' }))
  expect(rest.total).toBe(FILLED.company - 3)
  await calm(database)
  expect(new Set(Object.values(await labels(database)))).toEqual(new Set(['busy']))
  expect(await checker.check(database)).toMatchObject({ differences: [], silenced: 0 })
  expect((await readStatus(database.pool)).silenced).toEqual([])
})

test('what a sweep owes, for a change or a first load, is not silenced', async () => {
  await using database = await createTestDatabase('silent')
  await createProject(database.pool)
  await using checker = await createChecker()
  await using _running = await startIn(database)
  await calm(database)
  // As a truncation, or a batch that touches too many, leaves its entities: stale, for the sweep to come.
  await database.query(
    `update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition)
     where entity = 'company' and feature = 'visits';
     update rescore.features_company set visits = 700 where key > 3`,
  )
  await calm(database)
  const silent = await ended(database, await ask(database, { isSilent: true }))
  expect(countsOf(silent)).toMatchObject({ changed: FILLED.company - 3 })
  await calm(database)
  const { differences, silenced } = await checker.check(database)
  expect(silenced).toBe(0)
  expect(differences.filter(({ kind }) => kind !== 'history')).toEqual([])
})
