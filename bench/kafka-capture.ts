/**
 * From a filled slot into Kafka: our capture, Debezium as shipped and tuned, and PostgreSQL's own client as the ceiling, all
 * on the same write-ahead log and one broker; then the latency of single commits.
 *
 * Each is a process of its own from its start, and its processor time and memory are the kernel's word. The last 70 % are
 * told apart, because a JVM is warm by then.
 */
import type { ChildProcess } from 'node:child_process'
import { ensureCapture } from '../src/capture/slot.ts'
import { retry, sleep } from '../src/db/backoff.ts'
import { migrate } from '../src/db/migrate.ts'
import { type DebeziumVariant, startDebezium } from '../test/support/kafka/debezium.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import { measureCommitToRecord } from './kafka-latency.ts'
import { copySlot, dropSlot, endProcess, type KafkaSetting, openKafka, startOurs, TABLE } from './kafka-setting.ts'
import { createCaptured, drainByRecvlogical, fill } from './measure-capture.ts'
import type { Figures, Measurement } from './measurement.ts'
import { type ProcessUse, useOf } from './process-use.ts'
import { perSecond, round } from './statistics.ts'

const ROWS = 2_000_000
const PER_TRANSACTION = 1_000
const COMMITS = 4_000
const COMMITS_PER_SECOND = 200
const PUBLICATION = 'rescore'
const BASE = 'bench_kafka_base'
const WARM_FROM = 0.3
const STALL_MS = 120_000

interface Setting {
  readonly context: BenchContext
  readonly database: BenchDatabase
  readonly kafka: KafkaSetting
}

type Start = (setting: Setting, run: { readonly slot: string; readonly prefix: string }) => Promise<ChildProcess>

const ours =
  (compression: 'none' | 'zstd'): Start =>
  async ({ database, kafka }, run) =>
    startOurs({
      ...run,
      url: database.url,
      publication: PUBLICATION,
      table: TABLE,
      brokers: kafka.broker.brokers,
      compression,
    })

const debezium =
  (variant: DebeziumVariant): Start =>
  async ({ database, kafka }, run) => {
    const { process } = await startDebezium(
      {
        ...run,
        url: database.url,
        database: database.name,
        publication: PUBLICATION,
        table: TABLE,
        brokers: kafka.broker.brokers,
      },
      variant,
    )
    return process
  }

export const kafkaCapture: Measurement = {
  name: 'capture',
  run: async (context) => {
    const { say } = context
    const rows = Math.ceil(context.scaled(ROWS, PER_TRANSACTION) / PER_TRANSACTION) * PER_TRANSACTION
    await using kafka = await openKafka()
    await using database = await context.createEmpty('kafka')
    const setting = { context, database, kafka }
    await migrate(database.pool)
    await createCaptured(database)
    await ensureCapture(database.pool, { slot: BASE, publication: PUBLICATION, tables: [TABLE], owned: [] })
    await database.pool.query('select pg_copy_logical_replication_slot($1::name, $2::name)', [BASE, `${BASE}_recv`])
    say(`kafka: ${rows} row updates in transactions of ${PER_TRANSACTION}`)
    const endLsn = await fill(database, rows, PER_TRANSACTION)
    const ceiling = await drainByRecvlogical(context, database, `${BASE}_recv`, {
      rows,
      endLsn,
      publication: PUBLICATION,
    })
    const drains: Record<string, unknown> = { pgRecvlogical: ceiling }
    const starts = {
      rescore: ours('none'),
      rescoreZstd: ours('zstd'),
      debeziumTuned: debezium('tuned'),
      debeziumShipped: debezium('shipped'),
    }
    for (const [name, start] of Object.entries(starts)) drains[name] = await drain(setting, name, start, rows)
    // Nothing is left to read by those who start now.
    await database.pool.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [BASE])
    const latencies: Record<string, unknown> = {}
    const quick = { rescore: ours('none'), debeziumForLatency: debezium('latency') }
    for (const [name, start] of Object.entries(quick)) latencies[name] = await latency(setting, name, start)
    return { rows, rowsPerTransaction: PER_TRANSACTION, drains, latencies } satisfies Figures
  },
}

async function during<T>(
  setting: Setting,
  name: string,
  start: Start,
  measure: (child: ChildProcess, pid: number, prefix: string) => Promise<T>,
): Promise<T | { readonly failed: string }> {
  const { context, database, kafka } = setting
  const slot = `bench_kafka_${name.toLowerCase()}`
  await copySlot(database.pool, BASE, slot)
  const prefix = await kafka.createTopic(`${name}${Date.now()}`)
  context.say(`kafka: ${name}`)
  const child = await start(setting, { slot, prefix })
  try {
    if (child.pid === undefined) return { failed: 'It could not be started.' }
    return await measure(child, child.pid, prefix)
  } catch (error) {
    context.signal.throwIfAborted()
    return { failed: error instanceof Error ? error.message : String(error) }
  } finally {
    await endProcess(child)
    await dropSlot(database.pool, slot)
    await kafka.admin.deleteTopics({ topics: [`${prefix}.${TABLE}`] })
  }
}

function drain(setting: Setting, name: string, start: Start, rows: number): Promise<Figures> {
  return during(setting, name, start, async (child, pid, prefix) => {
    const startedMs = performance.now()
    const counted = () => countRecords(setting.kafka, `${prefix}.${TABLE}`)
    const until = async (least: number): Promise<{ ms: number; records: number; use: ProcessUse }> => {
      for (let moved = { at: performance.now(), records: -1 }; ; await sleep(20, setting.context.signal)) {
        const records = await counted()
        if (records >= least) return { ms: performance.now() - startedMs, records, use: await useOf(pid) }
        if (child.exitCode !== null) throw new Error(`It ended with code ${child.exitCode} after ${records} records.`)
        if (records > moved.records) moved = { at: performance.now(), records }
        if (performance.now() - moved.at > STALL_MS) throw new Error(`No record for two minutes after ${records}.`)
      }
    }
    const first = await until(1)
    const warm = await until(rows * WARM_FROM)
    const last = await until(rows)
    const warmRows = last.records - warm.records
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
    }
  })
}

async function countRecords({ admin }: KafkaSetting, topic: string): Promise<number> {
  // A topic made a moment ago may have no leader yet.
  const offsets = await retry(() => admin.fetchTopicOffsets(topic), { attempts: 8, isRetriable: () => true })
  return offsets.reduce((sum, { high }) => sum + Number(high), 0)
}

function latency(setting: Setting, name: string, start: Start): Promise<Figures> {
  const { context, database, kafka } = setting
  return during(setting, `${name}Latency`, start, async (child, pid, prefix) => {
    await untilReading(setting, `${prefix}.${TABLE}`, child)
    const before = await useOf(pid)
    const startedMs = performance.now()
    const figures = await measureCommitToRecord({
      settings: kafka.settings,
      prefix,
      pool: database.pool,
      commits: context.scaled(COMMITS, 500),
      perSecond: COMMITS_PER_SECOND,
      signal: context.signal,
    })
    const after = await useOf(pid)
    const share = (after.cpuSeconds - before.cpuSeconds) / ((performance.now() - startedMs) / 1000)
    return { ...figures, cpuOfOneCore: round(share, 3), peakRssMb: after.peakRssMb }
  })
}

/** One change, until its record is there: then it streams. */
async function untilReading({ context, database, kafka }: Setting, topic: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + STALL_MS
  await database.pool.query('update public.captured set counter = 0 where id = 1')
  while ((await countRecords(kafka, topic)) === 0) {
    if (child.exitCode !== null) throw new Error(`It ended with code ${child.exitCode}.`)
    if (performance.now() > deadline) throw new Error('It did not begin within two minutes.')
    await sleep(50, context.signal)
  }
}
