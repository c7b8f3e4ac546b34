/**
 * From a committed change to its classification over Kafka with 1, 2 and 4 workers, and on the embedded log for comparison:
 * the first load, latency at a pace, and sustained changes a second. One process captures, each worker recomputes and
 * scores, all as `rescore start --stages` runs them; they, PostgreSQL, the broker and the load share the machine's cores.
 */
import { sleep } from '../src/db/backoff.ts'
import { groupId } from '../src/log/kafka/topics.ts'
import type { Part } from '../src/shared-process.ts'
import type { ServiceFigures } from './children/messages.ts'
import { watchClassified } from './classified.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import { type KafkaSetting, openKafka } from './kafka-setting.ts'
import type { Figures, Measurement } from './measurement.ts'
import { changeAtPace } from './paced-changes.ts'
import { CURRENT } from './project/config.ts'
import { changeAtRandom, ROWS_PER_TRANSACTION } from './random-changes.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const WORKERS = [1, 2, 4]
const REFLECT_WITHIN_MS = 900_000
const JOIN_WITHIN_MS = 120_000
const WARM_UP = 100
const IDLE = { changes: 200, everyMs: 200 }
const STEADY = { changes: 4_000, everyMs: 5 }
const CHANGES = 60_000
const WRITERS = 4

export const kafkaWorkers: Measurement = {
  name: 'workers',
  run: async (context) => {
    const embedded = await measureEmbedded(context)
    await using kafka = await openKafka()
    const figures: Record<string, Figures> = { embedded }
    for (const workers of WORKERS) figures[`workers${workers}`] = await measureShared(context, kafka, workers)
    return figures
  },
}

/** What runs: the processes that compute, and all of them. */
interface Running extends AsyncDisposable {
  readonly workers: readonly ServiceProcess[]
  readonly all: readonly ServiceProcess[]
}

async function measureEmbedded(context: BenchContext): Promise<Figures> {
  const { signal, say } = context
  await using database = await context.createCrm('workers_embedded')
  say('workers: embedded log')
  return await measure(context, database, async () => {
    const service = await startServiceProcess({
      url: database.url,
      slot: 'bench_embedded',
      project: CURRENT,
      signal,
      say,
    })
    return { workers: [service], all: [service], [Symbol.asyncDispose]: () => service.stop() }
  })
}

async function measureShared(context: BenchContext, kafka: KafkaSetting, count: number): Promise<Figures> {
  const { signal, say } = context
  await using database = await context.createCrm(`workers_${count}`)
  const prefix = `workers${count}`
  const slot = `bench_workers_${count}`
  const start = (name: string, parts: readonly Part[]) => {
    const shared = { brokers: kafka.broker.brokers, prefix, parts }
    return startServiceProcess({ url: database.url, slot, project: CURRENT, shared, signal, say, name })
  }
  say(`workers: ${count} over Kafka`)
  return await measure(context, database, async () => {
    await using starting = new AsyncDisposableStack()
    const capture = starting.use(await start('capture', ['capture']))
    const workers: ServiceProcess[] = []
    for (let number = 1; number <= count; number += 1) {
      workers.push(starting.use(await start(`worker ${number}`, ['recompute', 'score'])))
    }
    await untilJoined(kafka, prefix, count, signal)
    const started = starting.move()
    return { workers, all: [capture, ...workers], [Symbol.asyncDispose]: () => started.disposeAsync() }
  })
}

/** Sharing out again in the middle of a measurement would be measured too. */
async function untilJoined({ admin }: KafkaSetting, prefix: string, count: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + JOIN_WITHIN_MS
  const ids = ['recompute', 'score'].map((stage) => groupId(prefix, stage))
  for (;;) {
    const { groups } = await admin.describeGroups(ids)
    if (groups.every(({ state, members }) => state === 'Stable' && members.length === count)) return
    if (performance.now() > deadline) throw new Error(`Not ${count} members of each group within two minutes.`)
    await sleep(50, signal)
  }
}

async function measure(
  context: BenchContext,
  database: BenchDatabase,
  start: () => Promise<Running>,
): Promise<Figures> {
  const { signal, say, sizes, scale } = context
  const startedMs = performance.now()
  await using running = await start()
  const [any] = running.workers
  if (any === undefined) throw new RangeError('There are no workers.')
  await any.reflected(REFLECT_WITHIN_MS)
  const firstLoadMs = performance.now() - startedMs
  const { companies } = sizes
  await using classified = await watchClassified(database.pool, database.url)
  await changeAtPace(classified, { changes: WARM_UP, everyMs: 20, companies, signal })
  const idleChanges = scale < 0.1 ? 50 : IDLE.changes
  say(`workers: ${idleChanges} changes, one each ${IDLE.everyMs} ms`)
  const idle = await changeAtPace(classified, { ...IDLE, changes: idleChanges, companies, signal })
  const changes = context.scaled(STEADY.changes, 400)
  say(`workers: ${changes} changes, one each ${STEADY.everyMs} ms`)
  const steady = await changeAtPace(classified, { ...STEADY, changes, companies, signal })
  const throughput = await measureThroughput(context, database, running, any)
  const peaks = (await figuresOf(running.all)).map(({ peakRssMb }) => peakRssMb)
  return {
    entities: companies,
    firstLoadSeconds: round(firstLoadMs / 1000, 1),
    idle,
    steady,
    throughput,
    peakRssMbOfEach: peaks,
  }
}

async function measureThroughput(
  context: BenchContext,
  { pool }: BenchDatabase,
  { workers, all }: Running,
  any: ServiceProcess,
): Promise<Figures> {
  const { signal, say, sizes } = context
  const transactions = Math.ceil(context.scaled(CHANGES, 1_000) / ROWS_PER_TRANSACTION)
  say(`workers: ${transactions} transactions of ${ROWS_PER_TRANSACTION} rows by ${WRITERS} writers`)
  const before = sumOf(await figuresOf(all))
  const startedMs = performance.now()
  const changes = await changeAtRandom(pool, sizes, { transactions, writers: WRITERS, signal })
  const writtenMs = performance.now() - startedMs
  await any.reflected(REFLECT_WITHIN_MS)
  const reflectedMs = performance.now() - startedMs
  const after = sumOf(await figuresOf(all))
  const needed = after.needed - before.needed
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds
  return {
    workers: workers.length,
    changes,
    changesPerSecond: perSecond(changes, reflectedMs),
    writtenPerSecond: perSecond(changes, writtenMs),
    seconds: round(reflectedMs / 1000, 2),
    computedPerNeeded: needed === 0 ? null : round((after.computed - before.computed) / needed, 3),
    cpuSeconds: round(cpuSeconds, 2),
    cpuMicrosecondsPerChange: round((cpuSeconds * 1e6) / changes),
  }
}

const figuresOf = (processes: readonly ServiceProcess[]) => Promise.all(processes.map((each) => each.figures()))

function sumOf(figures: readonly ServiceFigures[]) {
  const sum = { cpuSeconds: 0, computed: 0, needed: 0 }
  for (const { cpuSeconds, counts } of figures) {
    sum.cpuSeconds += cpuSeconds
    sum.computed += counts.featuresComputed
    sum.needed += counts.featuresNeeded
  }
  return sum
}
