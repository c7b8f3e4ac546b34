/**
 * What an erasure does not reach by itself, said with what becomes of it: topics, what was delivered, the database's own log.
 * Invariant: nothing is claimed that was not looked at. Pure.
 */
import type { Subject } from './subject.ts'

export interface TopicNote {
  readonly topic: string
  /** How long a record stays, milliseconds; null: for ever. */
  readonly retentionMs: number | null
  /** The last record of it may stay until then; null: for ever. */
  readonly goneBy: string | null
  /** Records removed from it by this erasure, this one's and all others; null: none were. */
  readonly purged: number | null
}

/** Tables whose changes are published and may tell of the record. */
export function publishedTables(subject: Subject, captured: readonly string[]): readonly string[] {
  const tables = [
    subject.table.id,
    ...subject.about.map(({ table }) => table.id),
    ...subject.entities.map(({ name }) => `rescore.features_${name}`),
  ]
  return [...new Set(tables)].filter((table) => captured.includes(table))
}

export function topicNote(
  topic: string,
  retentionMs: number | null,
  nowMs: number,
  purged: number | null = null,
): TopicNote {
  const isEnding = retentionMs !== null && retentionMs >= 0
  return { topic, retentionMs, goneBy: isEnding ? new Date(nowMs + retentionMs).toISOString() : null, purged }
}

export function notCovered(subject: Subject, topics: readonly TopicNote[]): readonly string[] {
  const told: string[] = [
    'PostgreSQL: write-ahead log, archives, replicas and backups written before hold it until they are recycled; dead rows until vacuum.',
    'Logs of Rescore: lines name keys where LOG_LEVEL is debug, never values; what your collector keeps is yours to erase.',
  ]
  if (topics.length > 0) {
    told.push(
      topics.every(({ purged }) => purged !== null)
        ? 'Kafka: topics were emptied up to the removal; files of brokers hold it until they roll and delete the segment.'
        : 'Kafka: each removal was published with the old row and a tombstone after it, like every delete; topics keep both, and what came before, until goneBy. Consumers of your own are told by the tombstone.',
    )
  }
  for (const { name, kind } of subject.deliveries) {
    if (kind !== 'table')
      told.push(`Delivery '${name}': what the destination was told before is there; nothing more is sent.`)
  }
  for (const [connector] of subject.streams) {
    told.push(`Source '${connector}': the record is still there, unless it was erased there; it is not read again.`)
  }
  for (const [entity, features] of subject.readBy) {
    told.push(
      `Histories of ${entity}: earlier values of ${features.join(', ')} may have been computed from it, among others.`,
    )
  }
  if (subject.streams.length === 0) {
    told.push(`Table ${subject.table.id} is your own: Rescore cannot keep you from writing the record again.`)
  }
  return told
}
