/** Backfills on a running service: which entities they take, what they count, and who may stop them. */
import { expect, test } from 'vitest'
import { act, doneCount, readBackfill } from '../../src/backfill/job.ts'
import { readProgress } from '../../src/backfill/progress.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { POISON } from '../support/project-features.ts'
import { createProject, FILLED } from '../support/project-sql.ts'
import { ask, countsOf, ended, nextRelease, release } from './setting.ts'

const NONE = { changed: 0, unchanged: 0, fresh: 0, failed: 0, gone: 0 }

async function historyCount(database: TestDatabase): Promise<bigint> {
  const { rows } = await database.query<{ count: bigint }>('select count(*) as count from rescore.feature_history')
  return rows[0]?.count ?? 0n
}

/** As if the stored values had gone wrong, which no change tells. */
const SPOIL = `update rescore.features_company set visits = -1 where key <= 5`

test('all: every entity is computed and counted once, and only what differs is written', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using checker = await createChecker()
  await using _running = await startIn(database)
  await calm(database)
  const before = await historyCount(database)
  const idle = await ended(database, await ask(database))
  expect(idle).toMatchObject({ state: 'done', total: FILLED.company, isTotalExact: true })
  expect(countsOf(idle)).toEqual({ ...NONE, unchanged: FILLED.company })
  expect(await historyCount(database)).toBe(before)
  await database.query(SPOIL)
  await calm(database)
  expect((await checker.check(database)).differenceCount).toBeGreaterThan(0)
  const healing = await ended(database, await ask(database, { features: ['visits'] }))
  expect(countsOf(healing)).toEqual({ ...NONE, changed: 5, unchanged: FILLED.company - 5 })
  await calm(database)
  // What was spoilt behind the service's back has no history.
  const { differences } = await checker.check(database)
  expect(differences.filter(({ kind }) => kind !== 'history')).toEqual([])
})

test('conditions, ids and orders choose, and what cannot be chosen is refused in plain words', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using _running = await startIn(database)
  await calm(database)
  const some = await ended(database, await ask(database, { condition: 'employees > 70 -- the larger ones' }))
  expect(countsOf(some)).toEqual({ ...NONE, unchanged: FILLED.company - 10 })
  const listed = await ended(database, await ask(database, { ids: ['3', '4', '999'] }))
  expect(listed.total).toBe(2)
  expect(countsOf(listed)).toEqual({ ...NONE, unchanged: 2 })

  const ordered = await ask(database, { condition: 'id < 7', priority: 'employees desc' }, 'planned')
  const { rows } = await database.query<{ keys: readonly string[] }>(
    'select keys from rescore.backfill_chunk where backfill = $1 order by seq',
    [ordered.id],
  )
  expect(rows.flatMap(({ keys }) => keys)).toEqual(['6', '5', '4', '3', '2', '1'])
  await act(database.pool, ordered.id, 'approve')
  expect(countsOf(await ended(database, ordered))).toEqual({ ...NONE, unchanged: 6 })

  await expect(ask(database, { condition: 'country = 3' })).rejects.toMatchObject({
    code: 'BACKFILL_CONDITION',
    message: expect.stringContaining('column "country" does not exist'),
  })
  await expect(ask(database, { condition: 'employees >' })).rejects.toMatchObject({ code: 'BACKFILL_CONDITION' })
  await expect(ask(database, { condition: 'true); drop table app.company; (' })).rejects.toMatchObject({
    code: 'BACKFILL_CONDITION',
  })
  await expect(ask(database, { priority: 'height desc' })).rejects.toMatchObject({ code: 'BACKFILL_PRIORITY' })
  await expect(ask(database, { ids: ['3', 'three'] })).rejects.toMatchObject({ code: 'BACKFILL_KEY' })
  await expect(ask(database, { features: ['nothing'] })).rejects.toMatchObject({ code: 'FEATURE_UNKNOWN' })
  expect(await readProgress(database.pool, 100)).toHaveLength(3)
})

test('stale: what a touch has brought up to date meanwhile counts as progress', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using checker = await createChecker()
  await using _running = await startIn(database)
  await calm(database)
  const planned = await release(database, ['visits'], 'planned')
  expect(planned.total).toBe(FILLED.company)
  await database.query(`update app.company set name = name || '!' where id <= 4`)
  await calm(database)
  await act(database.pool, planned.id, 'approve')
  const done = await ended(database, planned)
  expect(countsOf(done)).toEqual({ ...NONE, unchanged: FILLED.company - 4, fresh: 4 })
  const { rows } = await database.query('select from rescore.definition where backfill is not null')
  expect(rows).toEqual([])
  expect((await checker.check(database)).differences).toEqual([])
})

test('failed: entities put aside are tried again alone, and their inputs are kept', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using _running = await startIn(database)
  await database.query(`update app.company set name = '${POISON}' where id = 7`)
  await calm(database)
  const { rows } = await database.query('select key, feature, inputs from rescore.quarantine')
  expect(rows).toEqual([{ key: '7', feature: 'initial', inputs: { name: POISON } }])
  const again = await ended(database, await ask(database, { policy: 'failed' }))
  expect(again.total).toBe(1)
  expect(countsOf(again)).toEqual({ ...NONE, failed: 1 })
})

test('paused it stands still, resumed it goes on, cancelled it ends; nothing else is allowed', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using _running = await startIn(database)
  await calm(database)
  // Slow enough to be met in every state.
  const slow = await ask(database, { rate: 2 })
  await eventually(async () => expect(doneCount(await readBackfill(database.pool, slow.id))).toBeGreaterThan(0))
  await act(database.pool, slow.id, 'pause')
  await expect(act(database.pool, slow.id, 'pause')).rejects.toMatchObject({ code: 'BACKFILL_STATE' })
  const beside = await ended(database, await ask(database, { condition: 'employees < 20' }))
  expect(beside.state).toBe('done')
  const paused = await readBackfill(database.pool, slow.id)
  expect(paused.state).toBe('paused')
  expect(doneCount(paused)).toBeLessThan(FILLED.company)
  await act(database.pool, slow.id, 'resume')
  await eventually(async () =>
    expect(doneCount(await readBackfill(database.pool, slow.id))).toBeGreaterThan(doneCount(paused)),
  )
  const cancelled = await act(database.pool, slow.id, 'cancel')
  expect(cancelled.endedAt).not.toBeNull()
  await expect(act(database.pool, slow.id, 'resume')).rejects.toMatchObject({
    code: 'BACKFILL_STATE',
    message: expect.stringContaining('cancelled'),
  })
  await expect(act(database.pool, 99n, 'pause')).rejects.toMatchObject({ code: 'BACKFILL_UNKNOWN' })
})

test('a job that cannot go on is failed with its reason, and the service goes on', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  await using running = await startIn(database)
  await calm(database)
  // 24 zeroes are met only when the condition is evaluated for the row.
  const doomed = await ask(database, { condition: 'employees > 0' }, 'planned')
  await database.query(`update rescore.backfill set condition = '1 / (employees - 70) < 5' where id = $1`, [doomed.id])
  await act(database.pool, doomed.id, 'approve')
  const failed = await ended(database, doomed)
  expect(failed).toMatchObject({ state: 'failed', failure: expect.stringContaining('division by zero') })
  await database.query(`update app.company set name = 'still alive' where id = 1`)
  await calm(database)
  expect(running.failures).toEqual([])
})

test('a deployment for more rows than it may recompute unasked waits for approval, and live changes do not', async () => {
  await using database = await createTestDatabase('backfill')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const next = nextRelease('visits', { version: 2, compute: () => 1_000 }, FILLED.company - 1)
  await using checker = await createChecker(next)
  await using _running = await startIn(database, next)
  await calm(database)
  const [planned] = await readProgress(database.pool, 1)
  if (planned === undefined) throw new Error('Nothing was planned.')
  expect(planned).toMatchObject({ state: 'planned', reason: 'deployed', policy: 'stale', total: FILLED.company })
  expect(planned.features).toEqual(['profile', 'visits'])
  const waiting = await checker.check(database)
  expect(waiting.differences).toEqual([])
  expect(waiting.stale).toBe(FILLED.company)
  await database.query(`update app.company set name = 'touched' where id = 3`)
  await calm(database)
  const { rows } = await database.query('select key from rescore.features_company where visits = 1000')
  expect(rows).toEqual([{ key: 3n }])
  await act(database.pool, planned.id, 'approve')
  expect(countsOf(await ended(database, planned))).toEqual({ ...NONE, changed: FILLED.company - 1, fresh: 1 })
  await calm(database)
  expect(await checker.check(database)).toMatchObject({ differences: [], stale: 0 })
})
