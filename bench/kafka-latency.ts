/** Commit to record at a pace: our capture, and Debezium tuned to send at once; nothing else is to be read. */
import { sleep } from '../src/db/backoff.ts'
import { type LatencyFigures, measureCommitToRecord } from './commit-to-record.ts'
import { BASE_SLOT, type CapturedSetting, countRecords, openCaptured } from './kafka-setting.ts'
import { debezium, type Measured, measureSubject, ours, throwIfEnded } from './kafka-subject.ts'
import type { Measurement } from './measurement.ts'
import { useOf } from './process-use.ts'
import { round } from './statistics.ts'

const COMMITS = 4_000
const COMMITS_PER_SECOND = 200
const BEGIN_WITHIN_MS = 120_000

export const kafkaLatency: Measurement = {
  name: 'latency',
  run: async (context) => {
    await using setting = await openCaptured(context, 'kafka_latency')
    await setting.database.pool.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [BASE_SLOT])
    const measure = (measured: Measured) => latencyOf(setting, measured)
    return {
      rescore: await measureSubject(setting, 'rescore', ours('none'), measure),
      debeziumForLatency: await measureSubject(setting, 'debeziumForLatency', debezium('latency'), measure),
    }
  },
}

interface Latency extends LatencyFigures {
  readonly cpuOfOneCore: number
  readonly peakRssMb: number
}

async function latencyOf(setting: CapturedSetting, measured: Measured): Promise<Latency> {
  const { context, database, settings } = setting
  await untilReading(setting, measured)
  const before = await useOf(measured.pid)
  const startedMs = performance.now()
  const figures = await measureCommitToRecord({
    settings,
    prefix: measured.prefix,
    pool: database.pool,
    commits: context.scaled(COMMITS, 500),
    perSecond: COMMITS_PER_SECOND,
    signal: context.signal,
  })
  const after = await useOf(measured.pid)
  const share = (after.cpuSeconds - before.cpuSeconds) / ((performance.now() - startedMs) / 1000)
  return { ...figures, cpuOfOneCore: round(share, 3), peakRssMb: after.peakRssMb }
}

/** One change, until its record is there: then it streams. */
async function untilReading({ context, database, admin }: CapturedSetting, { topic, subject }: Measured) {
  const deadline = performance.now() + BEGIN_WITHIN_MS
  await database.pool.query('update public.captured set counter = 0 where id = 1')
  while ((await countRecords(admin, topic)) === 0) {
    throwIfEnded(subject)
    if (performance.now() > deadline) throw new Error('It did not begin within two minutes.')
    await sleep(50, context.signal)
  }
}
