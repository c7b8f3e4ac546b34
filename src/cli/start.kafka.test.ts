/** Processes of a shared service as a supervisor sees them: real processes, real signals, a real Kafka. */
import { expect, test } from 'vitest'
import { calm } from '../../test/chaos/running.ts'
import { eventually } from '../../test/support/eventually.ts'
import { describeKafka } from '../../test/support/kafka/kafka.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { createProject } from '../../test/support/project-sql.ts'
import { type Started, startProcess } from '../../test/support/started.ts'
import { readStatus } from '../observe/status.ts'

const PATIENT = { deadlineMs: 60_000, everyMs: 100 }

async function isLeader(process: Started): Promise<boolean> {
  const metrics = await process.metrics()
  return metrics.get('rescore_role_leader{role="capture"}') === 1
}

describeKafka('processes', ({ brokers }) => {
  test('the first signal ends a process well, and a stand-by or the other workers take over what it had', async () => {
    await using database = await createTestDatabase('processes')
    await createProject(database.pool)
    const environment = {
      DATABASE_URL: database.url,
      KAFKA_BROKERS: brokers,
      KAFKA_PREFIX: `t${crypto.randomUUID().slice(0, 8)}`,
      KAFKA_PARTITIONS: '2',
      RESCORE_SLOT: database.name,
      RESCORE_PUBLICATION: 'processes',
      LOG_LEVEL: 'info',
    }
    await using capture = await startProcess(environment, '--stages', 'capture')
    await capture.ready()
    await using standBy = await startProcess(environment, '--stages', 'capture,recompute,score')
    await using worker = await startProcess(environment, '--stages', 'recompute,score')
    await Promise.all([standBy.ready(), worker.ready()])
    expect((await standBy.probe('/readyz')).body.parts.capture).toEqual({ state: 'standing by', why: null })
    expect([await isLeader(capture), await isLeader(standBy)]).toEqual([true, false])
    await calm(database)
    const published = await Promise.all([capture, standBy].map((process) => process.metrics()))
    expect(published[0]?.get('rescore_capture_published_records_total')).toBeGreaterThan(0)
    expect(published[0]?.get('rescore_capture_published_bytes_total')).toBeGreaterThan(0)
    expect(published[1]?.get('rescore_capture_published_records_total')).toBe(0)
    const stages = ['recompute', 'score']
    await eventually(async () => {
      const { partitions, workers } = await readStatus(database.pool)
      expect(partitions.filter(({ owner }) => owner === null)).toEqual([])
      expect(new Set(workers.map((one) => one.worker)).size).toBe(2)
      const given = await Promise.all([standBy, worker].map((process) => process.metrics()))
      for (const stage of stages) {
        const counts = given.map((metrics) => metrics.get(`rescore_stage_assigned_partitions{stage="${stage}"}`) ?? 0)
        expect(counts[0]).toBeGreaterThan(0)
        expect(counts[1]).toBeGreaterThan(0)
        const all = partitions.filter((one) => one.stage === stage).length
        expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(all)
      }
    }, PATIENT)

    capture.signal('SIGTERM')
    worker.signal('SIGTERM')
    expect(await capture.exited, capture.output).toEqual({ code: 0, signal: null })
    expect(await worker.exited, worker.output).toEqual({ code: 0, signal: null })
    await eventually(async () => {
      expect(await isLeader(standBy)).toBe(true)
      expect((await standBy.probe('/readyz')).body).toMatchObject({ status: 'ready' })
      const { partitions, workers } = await readStatus(database.pool)
      const [owner] = workers.map((one) => one.worker)
      expect(workers).toHaveLength(2)
      expect(partitions.filter((one) => one.owner !== owner)).toEqual([])
    }, PATIENT)
    await database.query(`insert into app.company (id, name) values (900001, 'after')`)
    await calm(database)
    const { rows } = await database.query(`select key from rescore.features_company where key = 900001`)
    expect(rows).toHaveLength(1)
  })
})
