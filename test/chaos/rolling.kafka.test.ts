/**
 * A rolling upgrade under load, as real processes over a real Kafka: the processes of the older release step aside for the
 * newer one, come back when somebody goes back on purpose, and never write over what is newer.
 */
import { expect, test } from 'vitest'
import type { ProjectConfig } from '../../src/define/index.ts'
import { eventually } from '../support/eventually.ts'
import { describeKafka } from '../support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { changedConfig } from '../support/project-changed.ts'
import { projectConfig } from '../support/project-features.ts'
import { createProject } from '../support/project-sql.ts'
import { type Started, startProject } from '../support/started.ts'
import { historyFaults, watchPositions } from './kafka-history.ts'
import { startLoad } from './load.ts'
import { calm, createChecker, type Place } from './running.ts'

const PATIENT = { deadlineMs: 120_000, everyMs: 200 }

async function isAside(process: Started): Promise<void> {
  const [ready, healthy] = [await process.probe('/readyz'), await process.probe('/healthz')]
  expect(ready.status, process.output).toBe(503)
  expect(ready.body.why.join(), process.output).toContain('FEATURE_NOT_DEPLOYED')
  expect(healthy.status, process.output).toBe(200)
}

/** Moves of features that only the other release has, since this one was deployed. */
async function lateWrites({ pool }: Place, others: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from rescore.feature_history h
     where h.changed::jsonb ?| $1::text[] and h.recorded_at > (
       select deployed_at from rescore.release where kind = 'features' and replaced_at is null)`,
    [others],
  )
  return rows[0]?.count ?? -1
}

async function stop(process: Started): Promise<void> {
  process.signal('SIGTERM')
  expect(await process.exited, process.output).toEqual({ code: 0, signal: null })
}

async function checked(place: TestDatabase, config: ProjectConfig, others: readonly string[]): Promise<void> {
  await using checker = await createChecker(config)
  await calm(place)
  const { differences, entities } = await checker.check(place)
  expect(differences).toEqual([])
  expect(entities).toBeGreaterThan(20)
  expect(await historyFaults(place.pool)).toEqual([])
  expect(await lateWrites(place, others)).toBe(0)
}

describeKafka('a rolling upgrade', ({ brokers }) => {
  test('hands everything to the newer release, loses nothing, and goes back only on purpose', {
    timeout: 400_000,
  }, async () => {
    await using database = await createTestDatabase('rolling')
    await createProject(database.pool)
    await watchPositions(database.pool)
    const environment = {
      DATABASE_URL: database.url,
      KAFKA_BROKERS: brokers,
      KAFKA_PREFIX: `t${crypto.randomUUID().slice(0, 8)}`,
      KAFKA_PARTITIONS: '2',
      RESCORE_SLOT: database.name,
      RESCORE_PUBLICATION: 'rolling',
      LOG_LEVEL: 'info',
    }
    await using first = await startProject('test', environment)
    await using second = await startProject('test', environment)
    await Promise.all([first.ready(), second.ready()])
    const load = startLoad(database, 7)

    await using newer = await startProject('changed', environment)
    await newer.ready()
    await eventually(() => Promise.all([isAside(first), isAside(second)]), PATIENT)
    // A pod of the older release that its node lost: it must not take the database back.
    await using late = await startProject('test', environment)
    expect(await late.exited, late.output).toEqual({ code: 1, signal: null })
    expect(late.output).toContain('FEATURE_OUTDATED')
    await stop(first)
    await eventually(async () => expect((await newer.probe('/readyz')).status, newer.output).toBe(200), PATIENT)
    await load.stop()
    await checked(database, changedConfig, ['initial'])

    const again = startLoad(database, 8)
    await using back = await startProject('test', environment, '--rollback')
    await back.ready()
    // Who stood aside goes on by itself, and who was newer stands aside.
    await eventually(async () => {
      expect((await second.probe('/readyz')).status, second.output).toBe(200)
      await isAside(newer)
    }, PATIENT)
    await again.stop()
    await checked(database, projectConfig, ['lost_deals'])
    await Promise.all([second, newer, back].map(stop))
  })
})
