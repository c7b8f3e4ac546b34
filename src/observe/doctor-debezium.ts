/**
 * What is wrong where a Debezium connector captures, and the mend for each: its slot and publication in PostgreSQL, and how
 * far it is by the offsets that Kafka Connect keeps; with Connect's address also its settings (doctor-connect.ts).
 * Invariant: read-only; each check stands alone.
 */
import { readDebeziumSlot, unpublishedTables } from '../capture/debezium.ts'
import type { Pool } from '../db/pool.ts'
import { asError, isRescoreError } from '../errors.ts'
import { createKafka } from '../log/kafka/client.ts'
import { readConnectorOffsets } from '../log/kafka/connect-offsets.ts'
import type { KafkaSettings } from '../log/kafka/settings.ts'
import type { Problem } from './doctor.ts'
import { examineConnect } from './doctor-connect.ts'

export interface DebeziumDoctorOptions {
  readonly pool: Pool
  readonly settings: KafkaSettings
  readonly slot: string
  readonly publication: string
  /** `schema.name` of every table whose changes must come through. */
  readonly tables: readonly string[]
  readonly signal: AbortSignal
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

type Check = (options: DebeziumDoctorOptions) => Promise<readonly Problem[]>

/** Heartbeats every few seconds, stored every few seconds: this much is no delay any more. */
const STORED_WITHIN_MS = 60_000
const READ_WITHIN_MS = 15_000
const GUIDE = 'docs/kafka.md, "Reading a Debezium connector\'s topics"'

const slotState: Check = async ({ pool, slot }) => {
  const found = await readDebeziumSlot(pool, slot)
  const told = (message: string, mend: string) => [{ check: 'debezium slot', message, mend }]
  if (found === undefined) {
    const message = `The connector's slot '${slot}' (RESCORE_SLOT) does not exist.`
    return told(message, `Set RESCORE_SLOT to its slot.name, or start the connector: ${GUIDE}.`)
  }
  if (!found.is_here) {
    return told(
      `The slot '${slot}' belongs to another database.`,
      'Set RESCORE_SLOT to the slot.name of the connector.',
    )
  }
  if (found.lost !== null) {
    return told(
      `The connector's slot '${slot}' was invalidated (${found.lost}): changes are missing.`,
      'Make the connector and its slot anew, then `rescore resync --yes` and start.',
    )
  }
  if (found.active) return []
  return told(`Nothing reads the connector's slot '${slot}'.`, 'Start the connector; Connect says why it failed.')
}

const published: Check = async ({ pool, publication, tables }) => {
  const missing = await unpublishedTables(pool, { publication, tables })
  if (missing.length === 0) return []
  return [
    {
      check: 'debezium tables',
      message: `The connector's publication '${publication}' (RESCORE_PUBLICATION) lacks ${missing.join(', ')}, or a kind of change of theirs.`,
      mend: 'Name every table in table.include.list (publication.autocreate.mode=filtered keeps the publication alike) and start the connector anew.',
    },
  ]
}

const progress: Check = async ({ settings, signal, now = Date.now }) => {
  const { prefix, connect } = settings
  const log = { warn: () => undefined }
  const kafka = createKafka(settings, { log, role: 'doctor', patience: 'command' })
  const within = AbortSignal.any([signal, AbortSignal.timeout(READ_WITHIN_MS)])
  const found = await readConnectorOffsets({ kafka, prefix, connect, onError: () => undefined }, within)
  const told = (message: string, mend: string) => [{ check: 'debezium offsets', message, mend }]
  const [offset] = found
  if (offset === undefined) {
    return told(
      `No connector${connect.connector === null ? '' : ` '${connect.connector}'`} has stored an offset for the prefix '${prefix}' in '${connect.offsetsTopic}'.`,
      'Set KAFKA_PREFIX to topic.prefix of the connector and KAFKA_CONNECT_OFFSETS_TOPIC to offset.storage.topic of its workers.',
    )
  }
  if (found.length > 1) {
    const names = found.map(({ connector }) => connector).join(', ')
    return told(
      `Several connectors have stored offsets for the prefix '${prefix}': ${names}.`,
      'Set KAFKA_CONNECT_CONNECTOR to the one that runs.',
    )
  }
  const age = now() - offset.storedAtMs
  if (age <= STORED_WITHIN_MS && offset.commitLsn !== null) return []
  return told(
    offset.commitLsn === null
      ? `Connector '${offset.connector}' has not come past a commit yet.`
      : `Connect stored the last offset of '${offset.connector}' ${Math.round(age / 1_000)} s ago: what is reflected stands still.`,
    'Set heartbeat.interval.ms (1000) in the connector and offset.flush.interval.ms (1000) in the Connect workers, and see that its task runs.',
  )
}

const settingsOfIt: Check = (options) => examineConnect(options.settings, options, options.signal)

const CHECKS: readonly (readonly [string, Check])[] = [
  ['debezium slot', slotState],
  ['debezium tables', published],
  ['debezium offsets', progress],
  ['debezium settings', settingsOfIt],
]

export async function examineDebezium(options: DebeziumDoctorOptions): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  for (const [check, look] of CHECKS) {
    try {
      problems.push(...(await look(options)))
    } catch (error) {
      options.signal.throwIfAborted()
      const { message } = asError(error)
      problems.push({ check, message, mend: isRescoreError(error) ? error.mend : 'See the message.' })
    }
  }
  return problems
}
