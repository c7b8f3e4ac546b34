/**
 * Lands what a connector yielded between two checkpoints: all of it and the checkpoint, in one transaction.
 *
 * Invariants: what was erased does not land again; rows and checkpoint move together, so a crash repeats reads but never loses or doubles rows; a record
 * PostgreSQL refuses is set aside in rescore.reject by halving the run it came in, and its neighbours land.
 */

import { type Client, isRetriableDbError, type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import type { Message, SourceRow } from '../define/index.ts'
import { asError } from '../errors.ts'
import { deleteRows, keyText, replaceRows, sweepRange, updateRows, upsertRows } from './landing-sql.ts'
import { deleteUnlisted, forgetRecords, saveAlias, saveFields, saveListed, saveMemory } from './memory.ts'
import { isOneRecord, rejectOf, saveReject } from './reject.ts'
import { withoutErased } from './suppression.ts'

/** `edge` is an upsert or a delete by then (fit.ts). */
export type Landable = Exclude<Message<unknown>, { readonly op: 'checkpoint' | 'edge' }>
export type Checkpoint = Extract<Message<unknown>, { readonly op: 'checkpoint' }>

export interface StreamIdentity {
  readonly connector: string
  readonly stream: string
  /** Under which the checkpoint is kept; default: the stream's name. */
  readonly stateName?: string
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

const tableOf = (message: Landable) => (message.op === 'remember' ? undefined : message.table)

const newerByOf = (message: Landable) => (message.op === 'upsert' ? message.newerBy : undefined)

const isPartial = (message: Landable) => message.op === 'upsert' && message.isPartial === true

function sameColumnsInOrder(left: SourceRow, right: SourceRow): boolean {
  const columns = Object.keys(left)
  const others = Object.keys(right)
  return columns.length === others.length && columns.every((column, at) => column === others[at])
}

/** Messages of one run go into one statement: same operation, table and columns. */
function alike(left: Landable, right: Landable): boolean {
  return (
    left.op === right.op &&
    tableOf(left)?.id === tableOf(right)?.id &&
    newerByOf(left) === newerByOf(right) &&
    isPartial(left) === isPartial(right) &&
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

/** The messages of a run of one operation, typed as that operation. */
function allOf<O extends Landable['op']>(op: O, run: readonly Landable[]): readonly Extract<Landable, { op: O }>[] {
  return run.filter((message): message is Extract<Landable, { op: O }> => message.op === op)
}

async function applyDeletes(client: Queryable, deletes: readonly Extract<Landable, { op: 'delete' }>[]) {
  const [first] = deletes
  if (first === undefined) return 0
  const erased = deletes.filter(({ reason }) => reason === 'privacy').map(({ key }) => key)
  await forgetRecords(client, first.table, erased)
  return deleteRows(
    client,
    first.table,
    deletes.map(({ key }) => key),
  )
}

/** @returns rows written; all messages of `run` have one signature */
async function applyRun(client: Queryable, identity: StreamIdentity, run: readonly Landable[]): Promise<number> {
  const [first] = run
  if (first === undefined) return 0
  if (first.op === 'remember') {
    await saveMemory(client, identity, allOf('remember', run))
    return 0
  }
  const { table } = first
  if (first.op === 'upsert') {
    const rows = allOf('upsert', run).map(({ row }) => row)
    return first.isPartial === true ? updateRows(client, table, rows) : upsertRows(client, table, rows, first.newerBy)
  }
  if (first.op === 'delete') return applyDeletes(client, allOf('delete', run))
  if (first.op === 'replace') return replaceRows(client, table, allOf('replace', run))
  let written = 0
  for (const message of run) {
    if (message.op === 'merge') {
      written += await deleteRows(client, table, [message.from])
      await saveAlias(client, table, keyText(table, message.from), keyText(table, message.into))
    }
    if (message.op === 'sweep') written += await sweepRange(client, table, message)
    if (message.op === 'listed') await saveListed(client, message)
    if (message.op === 'unlisted') written += await deleteUnlisted(client, message)
    if (message.op === 'reject') await saveReject(client, identity, message)
    if (message.op === 'schema') await saveFields(client, identity, message)
  }
  return written
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
    if (only === undefined || !isOneRecord(only)) throw error
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
      identity.stateName ?? identity.stream,
      identity.stateVersion,
      JSON.stringify(checkpoint.state),
      checkpoint.done ?? null,
      checkpoint.total ?? null,
    ],
  )
}

/** Thrown to undo what was only tried. */
class Tried extends Error {
  readonly landed: Landed

  constructor(landed: Landed) {
    super('tried, not kept')
    this.landed = landed
  }
}

export interface LandOptions {
  /**
   * Nothing is kept; the answer says what would have been written, but for what a whole listing deletes: the keys it named
   * before were not kept either.
   */
  readonly dry?: boolean
}

/**
 * Writes the messages and the checkpoint that covers them, or nothing. Savepoints cost two round trips a run and a
 * subtransaction each, so they are set only once PostgreSQL has refused something: then all of it is done again.
 * @param checkpoint null: records that were asked for by key, which no checkpoint covers
 */
export async function land(
  pool: Pool,
  identity: StreamIdentity,
  messages: readonly Landable[],
  checkpoint: Checkpoint | null,
  { dry = false }: LandOptions = {},
): Promise<Landed> {
  const landable = dry ? messages.filter(({ op }) => op !== 'unlisted') : messages
  const landAll = (landOne: typeof landRun) =>
    withTransaction(pool, {}, async (client) => {
      let written = 0
      let rejected = 0
      for (const run of runsOf(await withoutErased(client, identity, landable))) {
        const landed = await landOne(client, identity, run)
        written += landed.written
        rejected += landed.rejected
      }
      if (dry) throw new Tried({ written, rejected })
      if (checkpoint !== null) await saveCheckpoint(client, identity, checkpoint)
      return { written, rejected }
    })
  try {
    return await landAll(landWhole)
  } catch (thrown) {
    if (thrown instanceof Tried) return thrown.landed
    if (isRetriableDbError(thrown)) throw thrown
    return await landAll(landRun).catch((again: unknown) => {
      if (again instanceof Tried) return again.landed
      throw again
    })
  }
}
