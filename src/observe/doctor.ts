/**
 * What is wrong with a set-up, and the mend for each.
 * Invariant: read-only and never interactive; each check stands alone, so one failure hides no other.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { examineTables } from '../capture/watchable.ts'
import { BudgetBook } from '../connect/budget.ts'
import { checkConnector } from '../connect/check.ts'
import { sourceContext } from '../connect/context.ts'
import { redactorOf } from '../connect/http/redact.ts'
import { type Pool, quoteIdent } from '../db/pool.ts'
import type { ProjectConfig, Table } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import { filledTables } from '../graph/captured-tables.ts'
import type { PathColumn } from '../graph/path-columns.ts'
import { examineClock } from './doctor-clock.ts'
import { examineHistory } from './doctor-history.ts'
import { examineUnpublished } from './doctor-unpublished.ts'

export interface Problem {
  readonly check: string
  readonly message: string
  readonly mend: string
}

export interface DoctorOptions {
  readonly pool: Pool
  readonly config: ProjectConfig
  /** Every table whose changes are read. */
  readonly tables: readonly Table[]
  /** Columns that relations are followed through. */
  readonly paths: readonly PathColumn[]
  readonly slot: string
  readonly publication: string
  readonly signal: AbortSignal
}

const RETAINED_WARNING_BYTES = 1_073_741_824
const CALL_TIMEOUT_MS = 15_000

type Check = (options: DoctorOptions) => Promise<readonly Problem[]>

const server: Check = async ({ pool, config }) => {
  const { rows } = await pool.query<{
    version: number
    wal_level: string
    keep: string
    may: boolean
    create: boolean
  }>(
    `select current_setting('server_version_num')::integer as version, current_setting('wal_level') as wal_level,
            current_setting('max_slot_wal_keep_size') as keep,
            (select rolreplication or rolsuper from pg_roles where rolname = current_user) as may,
            has_database_privilege(current_database(), 'CREATE') as create`,
  )
  const [row] = rows
  if (row === undefined) return []
  const problems: Problem[] = []
  const add = (check: string, message: string, mend: string) => problems.push({ check, message, mend })
  if (row.version < 150_000) add('server', `PostgreSQL is version ${row.version}.`, 'Use PostgreSQL 15 or newer.')
  if (row.wal_level !== 'logical') {
    add(
      'wal_level',
      `wal_level is '${row.wal_level}'.`,
      "alter system set wal_level = 'logical', then restart PostgreSQL.",
    )
  }
  if (!row.may && config.capture !== 'debezium')
    add('privileges', 'The role may not read the replication slot.', 'alter role current_user replication;')
  if (!row.create) add('privileges', 'The role may not create schemas.', 'grant create on database … to the role;')
  if (row.keep === '-1') {
    add(
      'retained WAL',
      'max_slot_wal_keep_size is unlimited: a service that stays away fills the disk.',
      "alter system set max_slot_wal_keep_size = '8GB'; select pg_reload_conf();",
    )
  }
  return problems
}

const CHECK_OF: Readonly<Record<string, string>> = {
  CAPTURE_REPLICA_IDENTITY: 'replica identity',
  CAPTURE_TABLE_RIGHTS: 'privileges',
  CAPTURE_COLUMN_TYPE: 'columns',
  CAPTURE_COLUMN_MISSING: 'columns',
}

const watched: Check = async ({ pool, config, tables, publication }) => {
  const ours = config.capture === 'debezium' ? null : publication
  const found = await examineTables(pool, tables, { publication: ours, filled: filledTables(config) })
  return found.map(({ code, message, mend }) => ({ check: CHECK_OF[code] ?? 'tables', message, mend }))
}

/** Tables that connectors fill get theirs from them; this is for tables of the user’s own. */
const indexes: Check = async ({ pool, paths }) => {
  // Joined by name: a schema the role may not use is another check's business, and would fail this one.
  const { rows } = await pool.query<{ id: string; column: string }>(
    `select format('%I.%I', p.schema, p.name) as id, p.column
     from unnest($1::text[], $2::text[], $3::text[]) as p(schema, name, "column")
     join pg_namespace n on n.nspname = p.schema join pg_class c on c.relnamespace = n.oid and c.relname = p.name
     join pg_attribute a on a.attrelid = c.oid and a.attname = p.column
     where not exists (select from pg_index i where i.indrelid = c.oid and i.indkey[0] = a.attnum and i.indpred is null)`,
    [paths.map(({ table }) => table.schema), paths.map(({ table }) => table.name), paths.map(({ column }) => column)],
  )
  return rows.map(({ id, column }) => ({
    check: 'indexes',
    message: `No index begins with ${id}.${quoteIdent(column)}, through which rows are looked up with every change.`,
    mend: `create index concurrently on ${id} (${quoteIdent(column)});`,
  }))
}

const slotState: Check = async ({ pool, slot, config }) => {
  // Whether it is there and whole, doctor-debezium.ts tells.
  const isTheirs = config.capture === 'debezium'
  const { rows } = await pool.query<{
    active: boolean
    wal_status: string | null
    reason: string | null
    retained: number
  }>(
    `select active, wal_status, invalidation_reason as reason,
            greatest(0, pg_current_wal_insert_lsn() - restart_lsn)::float8 as retained
     from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  const [row] = rows
  if (row === undefined) {
    if (isTheirs) return []
    return [
      {
        check: 'slot',
        message: `The slot '${slot}' does not exist.`,
        mend: 'rescore start makes it the first time; if it was lost: rescore resync',
      },
    ]
  }
  const problems: Problem[] = []
  if (!isTheirs && (row.wal_status === 'lost' || row.reason !== null)) {
    problems.push({
      check: 'slot',
      message: `The slot '${slot}' was invalidated (${row.reason ?? row.wal_status}).`,
      mend: 'rescore resync',
    })
  }
  if (row.retained > RETAINED_WARNING_BYTES) {
    const gigabytes = (row.retained / RETAINED_WARNING_BYTES).toFixed(1)
    problems.push({
      check: 'retained WAL',
      message: `The slot '${slot}' holds back ${gigabytes} GiB of WAL${row.active ? '' : ' and nothing reads it'}.`,
      mend: row.active
        ? 'See rescore status for the stage that is behind.'
        : `${isTheirs ? 'Start the connector' : 'rescore start'}; or drop the slot if it is not wanted any more.`,
    })
  }
  return problems
}

const modelFiles: Check = async ({ config }) => {
  const problems: Problem[] = []
  for (const model of config.models) {
    const manifest = new URL('manifest.json', model.folder)
    const mend = `Train it or take the committed files: ${model.folder}`
    if (!existsSync(manifest)) {
      problems.push({ check: 'models', message: `Model '${model.name}' has no manifest.json.`, mend })
      continue
    }
    const text = await readFile(manifest, 'utf8')
    const artifact = new URL('model.onnx', model.folder)
    if (!existsSync(artifact)) {
      problems.push({ check: 'models', message: `Model '${model.name}' has no model.onnx.`, mend })
      continue
    }
    const hash = createHash('sha256')
      .update(await readFile(artifact))
      .digest('hex')
    if (!text.includes(hash)) {
      problems.push({
        check: 'models',
        message: `The artifact of model '${model.name}' is not the one its manifest names.`,
        mend,
      })
    }
  }
  return problems
}

const connectors: Check = async ({ config, signal }) => {
  const log = { info: () => undefined, warn: () => undefined }
  const problems: Problem[] = []
  for (const connector of config.connectors) {
    // Someone is waiting: one attempt, and no long wait for it.
    const waiting = { attempts: 1, timeoutMs: CALL_TIMEOUT_MS }
    const context = sourceContext({ connector, signal, log, waiting }, new BudgetBook(), 'check', 'on-demand')
    try {
      const found = await checkConnector(connector, context)
      problems.push(...found.map(({ message, mend }) => ({ check: `connector ${connector.name}`, message, mend })))
    } catch (error) {
      problems.push(asProblem(`connector ${connector.name}`, redactorOf(connector).error(asError(error))))
    }
  }
  return problems
}

/** A credential never stands in a message: connectors keep them out. */
function asProblem(check: string, error: unknown): Problem {
  const { message } = asError(error)
  const hasMend = error instanceof Error && 'mend' in error && typeof error.mend === 'string'
  const mend = isRescoreError(error) ? error.mend : hasMend ? String(error.mend) : 'See the message.'
  return { check, message, mend }
}

const CHECKS: readonly (readonly [string, Check])[] = [
  ['server', server],
  ['tables', watched],
  ['indexes', indexes],
  ['slot', slotState],
  ['clock', ({ pool }) => examineClock(pool)],
  ['too large for Kafka', ({ pool }) => examineUnpublished(pool)],
  ['history', ({ pool, config }) => examineHistory(pool, config)],
  ['models', modelFiles],
  ['connectors', connectors],
]

export async function examine(options: DoctorOptions): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  for (const [name, check] of CHECKS) {
    try {
      problems.push(...(await check(options)))
    } catch (error) {
      problems.push(asProblem(name, error))
    }
  }
  return problems
}
