/**
 * Lands what a connector yielded between two checkpoints: all of it and the checkpoint, in one transaction.
 *
 * Invariants: rows and checkpoint move together, so a crash repeats reads but never loses or doubles rows; a record
 * PostgreSQL refuses is set aside in rescore.reject by halving the run it came in, and its neighbours land.
 */

import { type Client, isRetriableDbError, type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import type { Message, SourceRow, Table } from '../define/index.ts'
import { asError } from '../errors.ts'
import { deleteRows, keyText, replaceRows, sweepRange, upsertRows } from './landing-sql.ts'

export type Landable = Exclude<Message<unknown>, { readonly op: 'checkpoint' }>
export type Checkpoint = Extract<Message<unknown>, { readonly op: 'checkpoint' }>

export interface StreamIdentity {
  readonly connector: string
  readonly stream: string
  readonly stateVersion: number
}

export interface Landed {
  /** Rows inserted, updated or deleted. */
  readonly written: number
  readonly rejected: number
}

const NO_COLUMNS: SourceRow = {}

/** Whose columns decide what a statement looks like. */
const shapeOf = (message: Landable): SourceRow =>
  message.op === 'upsert' ? message.row : message.op === 'replace' ? message.scope : NO_COLUMNS

const newerByOf = (message: Landable) => (message.op === 'upsert' ? message.newerBy : undefined)

function sameColumnsInOrder(left: SourceRow, right: SourceRow): boolean {
  const columns = Object.keys(left)
  const others = Object.keys(right)
  return columns.length === others.length && columns.every((column, at) => column === others[at])
}

/** Messages of one run go into one statement: same operation, table and columns. */
function alike(left: Landable, right: Landable): boolean {
  return (
    left.op === right.op &&
    left.table.id === right.table.id &&
    newerByOf(left) === newerByOf(right) &&
    sameColumnsInOrder(shapeOf(left), shapeOf(right))
  )
}

export function runsOf(messages: readonly Landable[]): readonly (readonly Landable[])[] {
  const runs: Landable[][] = []
  let last: Landable | undefined
  for (const message of messages) {
    if (last !== undefined && alike(last, message)) runs.at(-1)?.push(message)
    else runs.push([message])
    last = message
  }
  return runs
}

async function saveAlias(client: Queryable, table: Table, from: string, into: string): Promise<void> {
  await client.query(
    `insert into rescore.alias (source_table, old_key, new_key) values ($1, $2, $3)
     on conflict (source_table, old_key) do update set new_key = excluded.new_key
     where alias.new_key <> excluded.new_key`,
    [table.id, from, into],
  )
}

/** PostgreSQL's text cannot hold NUL, nor half a surrogate pair. */
function storable(value: unknown): string {
  const json = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)) ?? ''
  return json.toWellFormed().replaceAll('\0', '\uFFFD')
}

interface Reject {
  readonly table: Table
  readonly key: string | null
  readonly raw: unknown
  readonly code: string
  readonly reason: string
}

async function saveReject(client: Queryable, identity: StreamIdentity, reject: Reject): Promise<void> {
  await client.query(
    `insert into rescore.reject (connector, stream, source_table, key, raw, code, reason)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (connector, stream, source_table, key, code) do update
       set raw = excluded.raw, reason = excluded.reason, seen = reject.seen + 1, last_seen_at = clock_timestamp()`,
    [
      identity.connector,
      identity.stream,
      reject.table.id,
      reject.key === null ? null : storable(reject.key).slice(1, -1),
      storable(reject.raw),
      reject.code,
      reject.reason,
    ],
  )
}

/** @returns rows written; all messages of `run` have one signature */
async function applyRun(client: Queryable, identity: StreamIdentity, run: readonly Landable[]): Promise<number> {
  const [first] = run
  if (first === undefined) return 0
  const { table } = first
  if (first.op === 'upsert') {
    const rows = run.flatMap((message) => (message.op === 'upsert' ? [message.row] : []))
    return upsertRows(client, table, rows, first.newerBy)
  }
  if (first.op === 'delete') {
    return deleteRows(
      client,
      table,
      run.flatMap((message) => (message.op === 'delete' ? [message.key] : [])),
    )
  }
  if (first.op === 'replace') {
    return replaceRows(
      client,
      table,
      run.flatMap((message) => (message.op === 'replace' ? [message] : [])),
    )
  }
  let written = 0
  for (const message of run) {
    if (message.op === 'merge') {
      written += await deleteRows(client, table, [message.from])
      await saveAlias(client, table, keyText(table, message.from), keyText(table, message.into))
    }
    if (message.op === 'sweep') written += await sweepRange(client, table, message)
    if (message.op === 'reject') await saveReject(client, identity, message)
  }
  return written
}

function rejectOf(message: Landable, error: Error): Reject {
  const code = 'code' in error && typeof error.code === 'string' ? `DB_${error.code}` : 'DB_REFUSED'
  const at =
    message.op === 'upsert'
      ? message.row
      : message.op === 'delete'
        ? message.key
        : message.op === 'merge'
          ? message.from
          : message.op === 'replace'
            ? message.scope
            : null
  return {
    table: message.table,
    key: at === null ? null : message.op === 'replace' ? Object.values(at).join('/') : keyText(message.table, at),
    raw: message.op === 'replace' ? { scope: message.scope, rows: message.rows } : at,
    code,
    reason: error.message,
  }
}

async function landWhole(client: Client, identity: StreamIdentity, run: readonly Landable[]): Promise<Landed> {
  const written = await applyRun(client, identity, run)
  return { written, rejected: run[0]?.op === 'reject' ? run.length : 0 }
}

/** Halves a refused run until the refused record stands alone; order within the run is kept. */
async function landRun(client: Client, identity: StreamIdentity, run: readonly Landable[]): Promise<Landed> {
  await client.query('savepoint run')
  try {
    const landed = await landWhole(client, identity, run)
    await client.query('release savepoint run')
    return landed
  } catch (thrown) {
    const error = asError(thrown)
    if (isRetriableDbError(error)) throw error
    await client.query('rollback to savepoint run')
    await client.query('release savepoint run')
    const [only] = run
    if (only === undefined || only.op === 'reject' || only.op === 'sweep') throw error
    if (run.length === 1) {
      await saveReject(client, identity, rejectOf(only, error))
      return { written: 0, rejected: 1 }
    }
    const half = Math.ceil(run.length / 2)
    const left = await landRun(client, identity, run.slice(0, half))
    const right = await landRun(client, identity, run.slice(half))
    return { written: left.written + right.written, rejected: left.rejected + right.rejected }
  }
}

async function saveCheckpoint(client: Queryable, identity: StreamIdentity, checkpoint: Checkpoint): Promise<void> {
  await client.query(
    `insert into rescore.connector_state (connector, stream, version, state, done, total)
     values ($1, $2, $3, $4::jsonb, $5, $6)
     on conflict (connector, stream) do update set version = excluded.version, state = excluded.state,
       done = coalesce(excluded.done, connector_state.done), total = coalesce(excluded.total, connector_state.total),
       updated_at = clock_timestamp()`,
    [
      identity.connector,
      identity.stream,
      identity.stateVersion,
      JSON.stringify(checkpoint.state),
      checkpoint.done ?? null,
      checkpoint.total ?? null,
    ],
  )
}

/**
 * Writes the messages and the checkpoint that covers them, or nothing. Savepoints cost two round trips a run and a
 * subtransaction each, so they are set only once PostgreSQL has refused something: then all of it is done again.
 */
export async function land(
  pool: Pool,
  identity: StreamIdentity,
  messages: readonly Landable[],
  checkpoint: Checkpoint,
): Promise<Landed> {
  const runs = runsOf(messages)
  const landAll = (landOne: typeof landRun) =>
    withTransaction(pool, {}, async (client) => {
      let written = 0
      let rejected = 0
      for (const run of runs) {
        const landed = await landOne(client, identity, run)
        written += landed.written
        rejected += landed.rejected
      }
      await saveCheckpoint(client, identity, checkpoint)
      return { written, rejected }
    })
  try {
    return await landAll(landWhole)
  } catch (thrown) {
    if (isRetriableDbError(thrown)) throw thrown
    return await landAll(landRun)
  }
}
