/** `rescore start` as a supervisor sees it: real processes, real signals. */
import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { createProject } from '../../test/support/project-sql.ts'
import { startProcess } from '../../test/support/started.ts'

const environmentOf = ({ url, name }: { readonly url: string; readonly name: string }) => ({
  DATABASE_URL: url,
  RESCORE_SLOT: name,
  RESCORE_PUBLICATION: 'started',
  LOG_LEVEL: 'info',
})

test('one signal: not ready at once, and an end with exit code 0 that leaves nothing behind', async () => {
  await using database = await createTestDatabase('start')
  await createProject(database.pool)
  await using service = await startProcess(environmentOf(database))
  await service.ready()
  const { body } = await service.probe('/readyz')
  expect(Object.entries(body.parts).map(([name, { state }]) => [name, state])).toEqual([
    ['lease', 'running'],
    ['capture', 'running'],
    ['recompute', 'running'],
    ['score', 'running'],
    ['status', 'running'],
    ['tally', 'running'],
    ['history', 'running'],
  ])
  await database.query(`insert into app.company (id, name) values (900001, 'one more')`)
  await eventually(async () => {
    const metrics = await service.metrics()
    expect(metrics.get('rescore_stage_entries_total{stage="recompute"}')).toBeGreaterThan(0)
    expect(metrics.get('rescore_stage_batch_duration_seconds_count{stage="recompute"}')).toBeGreaterThan(0)
    expect(metrics.get('rescore_stage_written_total{stage="recompute"}')).toBeGreaterThan(0)
    expect(metrics.get('rescore_stage_lag_seconds{stage="score"}')).toBeGreaterThanOrEqual(0)
    expect(metrics.get('rescore_slot_active')).toBe(1)
    expect(metrics.get('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0)
  })
  service.signal('SIGTERM')
  expect(await service.exited).toEqual({ code: 0, signal: null })
  expect(service.output).toContain('Rescore has stopped.')
})

test('while a batch cannot end, the process says it is stopping, and a second signal ends it at once', async () => {
  await using database = await createTestDatabase('start')
  await createProject(database.pool)
  await using service = await startProcess(environmentOf(database))
  await service.ready()
  // No stage can commit while its position is held.
  const holder = await database.pool.connect()
  try {
    await holder.query('begin')
    await holder.query('select from rescore.stage_position for update')
    await database.query(`insert into app.company (id, name) values (900001, 'one more')`)
    await eventually(async () => {
      const { rows } = await database.query<{ waiting: number }>(
        `select count(*)::integer as waiting from pg_stat_activity
         where datname = current_database() and application_name = 'rescore' and wait_event_type = 'Lock'`,
      )
      expect(rows[0]?.waiting).toBeGreaterThan(0)
    })
    service.signal('SIGINT')
    await eventually(async () => {
      const { status, body } = await service.probe('/readyz')
      expect([status, body.why[0]]).toEqual([503, 'it is stopping'])
    })
    expect(service.hasExited).toBe(false)
    // Signals close together are one press of a key: only a later one counts.
    await eventually(() => {
      service.signal('SIGTERM')
      expect(service.hasExited).toBe(true)
    })
    expect(await service.exited).toEqual({ code: 143, signal: null })
  } finally {
    await holder.query('rollback')
    holder.release()
  }
})

test('asked to stop before it runs, it ends with exit code 0', async () => {
  await using database = await createTestDatabase('start')
  await using service = await startProcess(environmentOf(database))
  await service.url()
  service.signal('SIGTERM')
  expect(await service.exited).toEqual({ code: 0, signal: null })
})
