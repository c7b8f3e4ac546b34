/** Commit acknowledged → record in a consumer's hands, one row per commit, at a pace that does not wait for the records. */
import { sleep } from '../src/db/backoff.ts'
import type { Pool } from '../src/db/pool.ts'
import { createKafka } from '../src/log/kafka/client.ts'
import type { KafkaSettings } from '../src/log/kafka/settings.ts'
import { TABLE } from './kafka-setting.ts'
import { round, type Summary, summarise } from './statistics.ts'

const WARM_UP = 400
const PATIENCE_MS = 30_000

export interface LatencyOrder {
  readonly settings: KafkaSettings
  readonly prefix: string
  readonly pool: Pool
  readonly commits: number
  readonly perSecond: number
  readonly signal: AbortSignal
}

export interface LatencyFigures {
  readonly commitToRecordMs: Summary
  readonly commitsPerSecond: number
  readonly unseen: number
}

/** The first commits, while machines warm up, are not counted. */
export async function measureCommitToRecord(order: LatencyOrder): Promise<LatencyFigures> {
  const { settings, prefix, pool, perSecond, signal } = order
  const seen = new Map<number, number>()
  const log = { warn: () => undefined }
  const consumer = createKafka(settings, { role: 'bench', log }).consumer({
    groupId: `${prefix}.latency`,
    maxWaitTimeInMs: 100,
  })
  await consumer.connect()
  try {
    const joined = new Promise<void>((done) => consumer.on(consumer.events.GROUP_JOIN, () => done()))
    await consumer.subscribe({ topic: `${prefix}.${TABLE}`, fromBeginning: false })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const now = performance.now()
        for (const { value } of batch.messages) {
          const counter = /"after":\{.*?"counter":(\d+)/.exec(String(value))?.[1]
          if (counter !== undefined) seen.set(Number(counter), now)
        }
      },
    })
    await joined
    const committed = new Map<number, number>()
    const total = order.commits + WARM_UP
    const pending: Promise<void>[] = []
    const startedMs = performance.now()
    for (let made = 1; made <= total; made += 1) {
      const waitMs = startedMs + (made * 1000) / perSecond - performance.now()
      if (waitMs > 0) await sleep(waitMs, signal)
      const one = pool.query('update public.captured set counter = $1 where id = $2', [1_000_000 + made, made])
      pending.push(one.then(() => void committed.set(1_000_000 + made, performance.now())))
    }
    await Promise.all(pending)
    const tookMs = performance.now() - startedMs
    const deadline = performance.now() + PATIENCE_MS
    while (seen.size < total && performance.now() < deadline) await sleep(20, signal)
    const counted = [...committed].filter(([counter]) => counter > 1_000_000 + WARM_UP)
    const samples = counted.flatMap(([counter, at]) => {
      const found = seen.get(counter)
      // A record can be here before the answer to its commit is.
      return found === undefined ? [] : [Math.max(0, found - at)]
    })
    return {
      commitToRecordMs: summarise(samples),
      commitsPerSecond: round((total / tookMs) * 1000),
      unseen: counted.length - samples.length,
    }
  } finally {
    await consumer.disconnect()
  }
}
