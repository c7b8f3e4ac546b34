/**
 * From a filled slot into Kafka: our capture, Debezium as shipped and tuned, and PostgreSQL's own client as the ceiling, all
 * on the same write-ahead log and one broker.
 *
 * Each is a process of its own from its start. The last 70 % are told apart, because a JVM is warm by then.
 */
import { sleep } from '../src/db/backoff.ts'
import { type CapturedSetting, copySlot, countRecords, openCaptured, PUBLICATION } from './kafka-setting.ts'
import { debezium, type Measured, measureSubject, ours, throwIfEnded } from './kafka-subject.ts'
import { fill } from './measure-capture.ts'
import type { Measurement } from './measurement.ts'
import { type ProcessUse, useOf } from './process-use.ts'
import { drainByRecvlogical } from './recvlogical.ts'
import { perSecond, round } from './statistics.ts'

const ROWS = 2_000_000
const PER_TRANSACTION = 1_000
const COLD_SHARE = 0.3
const LOOK_EVERY_MS = 50
const STALL_MS = 120_000

interface Drained {
  readonly rowsPerSecond: number
  readonly rowsPerSecondFromFirstRecord: number
  readonly rowsPerSecondLast70Percent: number
  readonly startToFirstRecordMs: number
  readonly cpuSeconds: number
  readonly cpuMicrosecondsPerRow: number
  readonly cpuMicrosecondsPerRowLast70Percent: number
  readonly peakRssMb: number
  /** What PostgreSQL's walsender and the broker used meanwhile. */
  readonly walsenderCpuSeconds: number
  readonly brokerCpuSeconds: number
}

export const kafkaCapture: Measurement = {
  name: 'capture',
  run: async (context) => {
    const whole = (rows: number) => Math.max(1, Math.round(rows / PER_TRANSACTION)) * PER_TRANSACTION
    const cold = whole(context.scaled(ROWS * COLD_SHARE))
    const warm = whole(context.scaled(ROWS * (1 - COLD_SHARE)))
    const rows = cold + warm
    await using setting = await openCaptured(context, 'kafka_capture')
    const { database } = setting
    const recvSlot = 'bench_kafka_recvlogical'
    await copySlot(database.pool, recvSlot)
    context.say(`kafka: ${rows} row updates in transactions of ${PER_TRANSACTION}`)
    const warmLsn = await fill(database, cold, PER_TRANSACTION)
    const endLsn = await fill(database, warm, PER_TRANSACTION)
    context.say('kafka: pg_recvlogical')
    const ceiling = await drainByRecvlogical(context, database, {
      slot: recvSlot,
      publication: PUBLICATION,
      rows,
      endLsn,
      warm: { lsn: warmLsn, rows: warm },
    })
    const drain = (measured: Measured) => drainOne(setting, measured, { rows, cold })
    const rescore = await measureSubject(setting, 'rescore', ours('none'), drain)
    const rescoreZstd = await measureSubject(setting, 'rescoreZstd', ours('zstd'), drain)
    const debeziumTuned = await measureSubject(setting, 'debeziumTuned', debezium('tuned'), drain)
    const debeziumShipped = await measureSubject(setting, 'debeziumShipped', debezium('shipped'), drain)
    return {
      rows,
      rowsPerTransaction: PER_TRANSACTION,
      pgRecvlogical: ceiling,
      rescore,
      rescoreZstd,
      debeziumTuned,
      debeziumShipped,
      shareOfCeiling:
        'skipped' in ceiling || 'failed' in rescore
          ? null
          : {
              whole: round(rescore.rowsPerSecond / ceiling.rowsPerSecond, 2),
              last70Percent:
                ceiling.rowsPerSecondFromWarm === null
                  ? null
                  : round(rescore.rowsPerSecondLast70Percent / ceiling.rowsPerSecondFromWarm, 2),
            },
      againstDebeziumTuned: 'failed' in debeziumTuned || 'failed' in rescore ? null : shares(rescore, debeziumTuned),
    }
  },
}

function shares(mine: Drained, theirs: Drained) {
  return {
    rate: round(mine.rowsPerSecondLast70Percent / theirs.rowsPerSecondLast70Percent, 2),
    cpuPerRow: round(mine.cpuMicrosecondsPerRowLast70Percent / theirs.cpuMicrosecondsPerRowLast70Percent, 3),
    memory: round(mine.peakRssMb / theirs.peakRssMb, 3),
  }
}

interface Moment {
  readonly ms: number
  readonly records: number
  readonly use: ProcessUse
}

async function drainOne(
  { context, database, admin, broker }: CapturedSetting,
  { subject, pid, slot, topic }: Measured,
  { rows, cold }: { readonly rows: number; readonly cold: number },
): Promise<Drained> {
  const startedMs = performance.now()
  const brokerBefore = await useOf(broker.pid)
  const until = async (least: number): Promise<Moment> => {
    for (let moved = { at: performance.now(), records: -1 }; ; await sleep(LOOK_EVERY_MS, context.signal)) {
      const records = await countRecords(admin, topic)
      const now = performance.now()
      throwIfEnded(subject)
      if (records >= least) return { ms: now - startedMs, records, use: await useOf(pid) }
      if (records > moved.records) moved = { at: now, records }
      if (now - moved.at > STALL_MS) throw new Error(`No record for two minutes after ${records}.`)
    }
  }
  const first = await until(1)
  const warm = await until(cold)
  const last = await until(rows)
  const brokerAfter = await useOf(broker.pid)
  const { rows: walsenders } = await database.pool.query<{ pid: number | null }>(
    'select active_pid as pid from pg_replication_slots where slot_name = $1',
    [slot],
  )
  const walsender = walsenders[0]?.pid ?? null
  const warmRows = rows - warm.records
  const warmCpu = last.use.cpuSeconds - warm.use.cpuSeconds
  return {
    rowsPerSecond: perSecond(rows, last.ms),
    rowsPerSecondFromFirstRecord: perSecond(rows, last.ms - first.ms),
    rowsPerSecondLast70Percent: perSecond(warmRows, last.ms - warm.ms),
    startToFirstRecordMs: round(first.ms),
    cpuSeconds: round(last.use.cpuSeconds, 2),
    cpuMicrosecondsPerRow: round((last.use.cpuSeconds * 1e6) / rows, 2),
    cpuMicrosecondsPerRowLast70Percent: round((warmCpu * 1e6) / warmRows, 2),
    peakRssMb: last.use.peakRssMb,
    walsenderCpuSeconds: walsender === null ? Number.NaN : round((await useOf(walsender)).cpuSeconds, 2),
    brokerCpuSeconds: round(brokerAfter.cpuSeconds - brokerBefore.cpuSeconds, 2),
  }
}
