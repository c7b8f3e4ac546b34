/**
 * Capture into Kafka: every change of the publication becomes a record, and the slot follows what the brokers have.
 *
 * Invariants: the slot is confirmed only up to the last transaction whose every record is acknowledged by all in-sync
 * replicas, without its large columns where its topic cannot take them (unpublished.ts); memory is bounded by the bytes not
 * yet acknowledged, then the socket is paused. The publisher outlives connections to PostgreSQL, so a cut makes no duplicates.
 * After a crash the server sends again everything not confirmed: duplicates, in order per key, never a gap.
 */
import type { Kafka } from 'kafkajs'
import { retry } from '../db/backoff.ts'
import type { HeldRole } from '../db/leader.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import type { Compression } from '../log/kafka/compress.ts'
import { DEFAULT_TYPES, type EncodeTypes } from '../log/kafka/encode-types.ts'
import { Publisher } from '../log/kafka/publish.ts'
import { topicName } from '../log/kafka/topics.ts'
import { Published } from './publishing-commits.ts'
import { PublishingIntake } from './publishing-intake.ts'
import { Replication, type SlotOptions } from './replicate.ts'
import { keepUnpublished } from './unpublished.ts'

export interface PublishOptions extends SlotOptions {
  readonly kafka: Kafka
  /** `schema.name` of every table of the publication. */
  readonly tables: readonly string[]
  /** `source.name` of the records. */
  readonly prefix: string
  /** Topic of `schema.table`; default `<prefix>.<schema>.<table>`. */
  readonly topicOf?: (table: string) => string
  readonly compression?: Compression
  readonly types?: EncodeTypes
  /** Bytes not yet acknowledged above which the socket is paused. Default 16 MiB. */
  readonly highWaterBytes?: number
  /** Of one partition's batch before compression; below max.message.bytes of the topics. Default 1,000,000. */
  readonly maxBatchBytes?: number
  /** How long one attempt to publish may take before its connection is given up. Default 30 s. */
  readonly attemptMs?: number
  /**
   * When the signal aborts: how long the brokers have to acknowledge what was read, so that the slot is confirmed up to
   * there and a clean stop publishes next to nothing again. Default 5 s; then it is left as a crash would leave it.
   */
  readonly drainMs?: number
  /** Where another may take over: what was read and not sent is then left to that one, without a drain. */
  readonly role?: HeldRole
  /** Version of this program, as `source.version`. */
  readonly version?: string
  /** Called once the topics are known and replication begins. */
  readonly onReady?: () => void
  /** Called with the records, and their bytes before compression, that the brokers have newly acknowledged. */
  readonly onPublished?: (records: number, bytes: number) => void
}

/** Runs until the signal aborts and what was read is published, or `drainMs` are over. @throws errors of fate `stop` */
export async function publishChanges(options: PublishOptions): Promise<void> {
  const { pool, prefix, signal, tables, types = DEFAULT_TYPES, topicOf = (table) => topicName(prefix, table) } = options
  // Whichever of the two loops ends takes the other with it; publishing outlives the signal while it drains.
  const ending = new AbortController()
  const { role } = options
  const over = role === undefined ? ending.signal : AbortSignal.any([ending.signal, role.lost])
  const endNow = () => ending.abort(signal.reason)
  signal.addEventListener('abort', endNow, { once: true })
  if (signal.aborted) endNow()
  let intake: PublishingIntake | undefined
  const publisher = new Publisher({
    ...options,
    topics: tables.map(topicOf),
    signal: over,
    ...(role === undefined ? {} : { maySend: role.isSure }),
    onRefused: (refused) => keepUnpublished(pool, refused, over),
    onProgress: () => intake?.progressed(),
  })
  const published = new Published(publisher)
  try {
    const source = { prefix, version: options.version ?? 'rescore', ...(await readDatabase(pool, over)) }
    await publisher.connect()
    signal.removeEventListener('abort', endNow)
    options.onReady?.()
    const untilAsked = AbortSignal.any([signal, over])
    const replication = new Replication({ ...options, signal: untilAsked }, (valve) => {
      intake = new PublishingIntake({ ...options, source, types, published, topicOf, valve, over })
      return intake
    })
    await together([replication.run(), publisher.run()], ending)
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', endNow)
  }
}

/** Waits for all; the first failure ends the others. */
async function together(loops: readonly Promise<void>[], ending: AbortController): Promise<void> {
  const outcomes = await Promise.allSettled(
    loops.map((loop) => loop.finally(() => ending.abort(new Error('The other half of publishing has ended.')))),
  )
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  // The one that was only told to end says so with the reason it was given.
  const [first] = failures.filter((failure) => failure !== ending.signal.reason)
  if (first !== undefined) throw first
}

async function readDatabase(pool: Pool, signal: AbortSignal): Promise<{ database: string; system: string }> {
  const read = () =>
    pool.query<{ database: string; system: string }>(
      'select current_database() as database, system_identifier::text as system from pg_control_system()',
    )
  const { rows } = await retry(read, { attempts: 10, signal, isRetriable: isRetriableDbError })
  return rows[0] ?? { database: '', system: '' }
}
