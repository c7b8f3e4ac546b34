/**
 * What carries the changes of a database from capture to the stages: the embedded log, our topics, or Debezium's.
 *
 * Invariant: one way at a time, and what is on its way is not left behind. The embedded log keeps nothing: its slot is
 * confirmed only for what every stage has committed, so whatever comes after it finds all the rest in the slot, and may
 * take over. Over Kafka the slot is confirmed for what is published: what workers have not read yet is in the topics
 * alone, of that cluster and prefix, so any other way is refused until a resync. Debezium confirms a slot of its own.
 */
import type { Pool } from '../db/pool.ts'
import { refuse } from './identity.ts'

/** `embedded`, `kafka <cluster id> <prefix>` or `debezium <cluster id> <prefix>` */
export type Carrier = string

export const EMBEDDED: Carrier = 'embedded'

export function topicsCarrier(capture: 'rescore' | 'debezium', cluster: string, prefix: string): Carrier {
  return `${capture === 'rescore' ? 'kafka' : capture} ${cluster} ${prefix}`
}

/** Null before the first start and after a resync. */
export async function readCarrier(pool: Pool): Promise<Carrier | null> {
  const { rows } = await pool.query<{ carrier: Carrier }>('select carrier from rescore.capture')
  return rows[0]?.carrier ?? null
}

function described(carrier: Carrier): string {
  const [kind, cluster, prefix] = carrier.split(' ')
  if (kind === 'embedded') return 'the embedded log'
  return `${kind === 'debezium' ? "Debezium's topics" : 'topics'} '${prefix}.*' of the Kafka cluster ${cluster}`
}

/** @throws RescoreError CAPTURE_SWITCHED when changes may be left behind */
export async function refuseOtherCarrier(pool: Pool, wanted: Carrier): Promise<void> {
  const carrier = await readCarrier(pool)
  if (carrier === null || carrier === wanted) return
  if (carrier === EMBEDDED && wanted.startsWith('kafka ')) return
  throw refuse(
    'CAPTURE_SWITCHED',
    `Changes of this database travel by ${described(carrier)}, and this start asks for ${described(wanted)}: changes that are still on their way there would never be read.`,
    'Set it back (KAFKA_BROKERS, KAFKA_PREFIX, capture in rescore.config.ts); or stop every process, `rescore resync --yes`, and start: everything is recomputed.',
  )
}
