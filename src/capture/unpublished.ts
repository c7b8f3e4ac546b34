/**
 * Changes too large for their topic: kept whole in rescore.unpublished, and published without their large columns, so that
 * what is derived from them is made anew all the same.
 *
 * Invariants: kept before what stands for it is published; kept once, however often it is published. Publishing it later
 * as it is would put an older value behind newer ones, so a replay writes the row once more, as it is now, and lets capture
 * publish that in its order; the entry goes in the same transaction.
 */
import { retry } from '../db/backoff.ts'
import { formatLsn } from '../db/lsn.ts'
import { type Client, isRetriableDbError, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { readPositionHeader } from '../log/kafka/envelope.ts'
import type { BatchRecord } from '../log/kafka/publish-batch.ts'
import type { RefusedRecord } from '../log/kafka/publish-options.ts'
import { smallerRecord } from '../log/kafka/publish-smaller.ts'

/** Kept whole, with its position and reason; what is published in its place. @throws RescoreError LOG_KAFKA_TOO_LARGE */
export async function keepUnpublished(
  pool: Pool,
  { topic, partition, record, bytes }: RefusedRecord,
  signal: AbortSignal,
): Promise<BatchRecord> {
  const position = readPositionHeader(record.headers)
  if (position === null) {
    throw new RescoreError({
      code: 'CAPTURE_PUBLISH',
      fate: 'stop',
      message: `A record for ${topic} that its topic cannot take has no position.`,
      mend: 'This is a bug: keep the slot and report it.',
    })
  }
  const smaller = smallerRecord(record)
  if (smaller === null) throw tooLarge(topic, bytes)
  const reason = `${bytes} bytes are more than max.message.bytes of the topic allows.`
  const keep = () =>
    pool.query(
      `insert into rescore.unpublished (topic, partition, lsn, index, key, value, code, reason)
       values ($1, $2, $3, $4, $5, $6, 'MESSAGE_TOO_LARGE', $7) on conflict do nothing`,
      [topic, partition, formatLsn(position.lsn), position.index, record.key, record.value, reason],
    )
  await retry(keep, { attempts: Number.POSITIVE_INFINITY, signal, isRetriable: isRetriableDbError })
  return smaller
}

function tooLarge(topic: string, bytes: number): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_TOO_LARGE',
    fate: 'stop',
    message: `Topic ${topic} takes no record of ${bytes} bytes, which has no large column that could be left out.`,
    mend: 'Raise max.message.bytes of the topic (rescore topics --apply, if it is below what is declared) and start again.',
  })
}

export interface Unpublished {
  readonly topic: string
  /** Of the change: commit LSN and index. */
  readonly position: string
  /** As in the record; null: the table has none. */
  readonly key: string | null
  readonly bytes: number
  readonly reason: string
  readonly keptAt: string
}

const LISTED = `topic, lsn::text || '/' || index as position, convert_from(key, 'UTF8') as key,
  coalesce(length(value), 0) as bytes, reason, kept_at::text as "keptAt"`

export async function listUnpublished(pool: Pool): Promise<readonly Unpublished[]> {
  const { rows } = await pool.query<Unpublished>(
    `select ${LISTED} from rescore.unpublished order by kept_at limit 1000`,
  )
  return rows
}

interface Entry {
  readonly topic: string
  readonly lsn: string
  readonly index: number
}

interface Row {
  /** `schema.name` */
  readonly table: string
  /** Columns of the key with their texts. */
  readonly key: readonly (readonly [column: string, text: string])[]
}

async function readRow(client: Client, { topic, lsn, index }: Entry): Promise<Row | null> {
  const { rows } = await client.query<{ key: string | null; schema: string; name: string }>(
    `select convert_from(key, 'UTF8') as key, source->>'schema' as schema, source->>'table' as name
     from (select key, convert_from(value, 'UTF8')::json->'source' as source from rescore.unpublished
           where topic = $1 and lsn = $2 and index = $3 for update) as kept`,
    [topic, lsn, index],
  )
  const [kept] = rows
  if (kept === undefined || kept.key === null) return null
  const key: unknown = JSON.parse(kept.key)
  const columns = Object.entries(Object(key)).map(([column, value]) => [column, String(value)] as const)
  return { table: `${kept.schema}.${kept.name}`, key: columns }
}

/** False: there is no such row any more, or its key is not written as PostgreSQL prints it. */
async function touch(client: Client, { table, key }: Row): Promise<boolean> {
  const [first] = key
  if (first === undefined) return false
  const column = quoteIdent(first[0])
  const where = key.map(([name], place) => `${quoteIdent(name)}::text = $${place + 1}`).join(' and ')
  const { rowCount } = await client.query(
    `update ${quoteTable(table)} set ${column} = ${column} where ${where}`,
    key.map(([, text]) => text),
  )
  return rowCount === 1
}

const FORGET = 'delete from rescore.unpublished where topic = $1 and lsn = $2 and index = $3'

/**
 * Writes the rows once more, as they are now, each with itself; triggers of their tables run.
 * @returns how many; those without a key, or whose row is gone, stay
 */
export async function replayUnpublished(pool: Pool): Promise<{ readonly tried: number; readonly replayed: number }> {
  const { rows: entries } = await pool.query<Entry>(
    'select topic, lsn::text, index from rescore.unpublished order by lsn, index',
  )
  let replayed = 0
  for (const entry of entries) {
    await withTransaction(pool, {}, async (client) => {
      const row = await readRow(client, entry)
      if (row === null || !(await touch(client, row))) return
      await client.query(FORGET, [entry.topic, entry.lsn, entry.index])
      replayed += 1
    })
  }
  return { tried: entries.length, replayed }
}

/** @returns how many were forgotten */
export async function dropUnpublished(pool: Pool): Promise<number> {
  const { rowCount } = await pool.query('delete from rescore.unpublished')
  return rowCount ?? 0
}
