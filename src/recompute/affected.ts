/**
 * From changes to affected entities: which (entity, key) pairs, which features of each, and because of what.
 *
 * Invariants: a change nobody reads gives nothing; a moved child touches its old and its new parent; whatever is not
 * known (no before image) counts as changed. Bits are bigint masks over the entity's features in graph order.
 */

import { formatLsn } from '../db/lsn.ts'
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'
import type { Hop, Table } from '../define/index.ts'
import type { Graph, Reader } from '../graph/graph.ts'
import type { Batch, Change, Row } from '../log/log.ts'
import type { Cause } from '../log/stage.ts'
import { surelyFails, whereSql } from './where.ts'

export interface Dirty {
  bits: bigint
  readonly causes: Cause[]
  causeCount: number
  newestCauseMs: number
  newestLsn: bigint
}

/** entity → key (text) → what is dirty. */
export type Affected = Map<string, Map<string, Dirty>>

/** Rows some way along a path, to be followed back to entities in the stage's snapshot. */
export interface Trace {
  readonly reader: Reader
  /** Hop whose parent the keys name: 0 means they are entity keys already. */
  readonly hop: number
  readonly keys: ReadonlySet<string>
  readonly cause: Cause
  readonly change: Change
}

export interface Plan {
  readonly affected: Affected
  readonly traces: readonly Trace[]
  /** Tables that were truncated: everything that reads them is stale. */
  readonly truncated: readonly string[]
}

const MAX_CAUSES = 20

export function mask(bits: readonly number[]): bigint {
  return bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)
}

export function markDirty(
  affected: Affected,
  entity: string,
  key: string,
  bits: bigint,
  change: Change,
  cause: Cause,
): void {
  const keys = affected.get(entity) ?? new Map<string, Dirty>()
  affected.set(entity, keys)
  const dirty = keys.get(key) ?? { bits: 0n, causes: [], causeCount: 0, newestCauseMs: 0, newestLsn: 0n }
  keys.set(key, dirty)
  dirty.bits |= bits
  if (change.committedAtMs >= dirty.newestCauseMs) {
    dirty.newestCauseMs = change.committedAtMs
    dirty.newestLsn = change.position.lsn
  }
  const last = dirty.causes.at(-1)
  // One column feeds several features, so the same cause comes once per reader.
  if (
    dirty.causes.some(
      (known) =>
        known.lsn === cause.lsn &&
        known.table === cause.table &&
        known.key === cause.key &&
        known.column === cause.column,
    )
  )
    return
  dirty.causeCount += 1
  if (last === undefined || dirty.causes.length < MAX_CAUSES) dirty.causes.push(cause)
}

function keyText(table: Table, row: Row | null): string {
  return table.key.map((column) => row?.[column] ?? '').join(',')
}

/** Long texts are told apart by their beginning; the table has them whole. */
function short(value: string | null | undefined): string | null {
  if (value === null || value === undefined) return null
  return value.length > 200 ? `${value.slice(0, 200)}…` : value
}

function causesOf(change: Change, reader: Reader, table: Table): readonly Cause[] {
  const base = {
    table: change.table,
    key: keyText(table, change.after ?? change.before),
    op: change.op,
    lsn: formatLsn(change.position.lsn),
    committedAtMs: change.committedAtMs,
  }
  if (change.op !== 'update') return [{ ...base, column: null, from: null, to: null }]
  const columns = change.changed?.filter((column) => reader.columns.has(column)) ?? []
  if (columns.length === 0) return [{ ...base, column: null, from: null, to: null }]
  return columns.map((column) => ({
    ...base,
    column,
    from: short(change.before?.[column]),
    to: short(change.after?.[column]),
  }))
}

function isRead(change: Change, reader: Reader): boolean {
  return (
    change.op !== 'update' || change.changed === null || change.changed.some((column) => reader.columns.has(column))
  )
}

function values(column: string, ...rows: readonly (Row | null)[]): Set<string> {
  const found = rows.map((row) => row?.[column]).filter((value) => typeof value === 'string')
  return new Set(found)
}

/** Keys of the rows one hop nearer to the entity, as far as the change itself tells. */
function parentKeys(
  change: Change,
  reader: Reader,
  hop: Hop,
  table: Table,
): { keys: Set<string>; needsLookUp: boolean } {
  const column = hop.kind === 'foreign-key' ? hop.column : reader.viaAssociation ? hop.from : null
  if (column !== null) return { keys: values(column, change.before, change.after), needsLookUp: false }
  // The target of an association does not hold its parents: they stand in the association table.
  return { keys: values(table.key[0] ?? '', change.before, change.after), needsLookUp: true }
}

/** Pure: what a batch means, as far as its changes alone can tell. Null when it means nothing. */
export function planAffected(graph: Graph, batch: Batch): Plan | null {
  const affected: Affected = new Map()
  const traces: Trace[] = []
  const truncated: string[] = []
  for (const entry of batch.entries) {
    if (entry.kind !== 'change') continue
    const readers = graph.readers.get(entry.table)
    const table = graph.tables.find((candidate) => candidate.id === entry.table)
    if (readers === undefined || table === undefined) continue
    if (entry.op === 'truncate') {
      truncated.push(entry.table)
      continue
    }
    for (const reader of readers) {
      if (!isRead(entry, reader)) continue
      const { where } = reader
      if (
        where !== null &&
        surelyFails(table, where, entry.before ?? (entry.op === 'update' ? {} : null)) &&
        surelyFails(table, where, entry.after)
      )
        continue
      for (const cause of causesOf(entry, reader, table)) follow(entry, reader, table, cause, affected, traces)
    }
  }
  return affected.size === 0 && traces.length === 0 && truncated.length === 0 ? null : { affected, traces, truncated }
}

function follow(change: Change, reader: Reader, table: Table, cause: Cause, affected: Affected, traces: Trace[]): void {
  const bits = mask(reader.bits)
  const hop = reader.path.at(-1)
  if (hop === undefined) {
    for (const key of values(table.key[0] ?? '', change.before, change.after))
      markDirty(affected, reader.entity, key, bits, change, cause)
    return
  }
  const { keys, needsLookUp } = parentKeys(change, reader, hop, table)
  const hopsLeft = needsLookUp ? reader.path.length : reader.path.length - 1
  if (hopsLeft === 0) for (const key of keys) markDirty(affected, reader.entity, key, bits, change, cause)
  else traces.push({ reader, hop: hopsLeft, keys, cause, change })
}

/** Follows traces back to entity keys, one set query per hop, in the snapshot of the client's transaction. */
export async function resolveTraces(client: Client, plan: Plan): Promise<void> {
  for (const trace of plan.traces) {
    let keys: readonly string[] = [...trace.keys]
    for (let hop = trace.hop; hop > 0 && keys.length > 0; hop -= 1) {
      const step = trace.reader.path[hop - 1]
      if (step === undefined) break
      keys = await parentsOf(client, step, keys)
    }
    const bits = mask(trace.reader.bits)
    for (const key of keys) markDirty(plan.affected, trace.reader.entity, key, bits, trace.change, trace.cause)
  }
}

async function parentsOf(client: Client, hop: Hop, keys: readonly string[]): Promise<readonly string[]> {
  const parameters: unknown[] = []
  const add = (value: unknown) => `$${parameters.push(value)}`
  const list = add(keys)
  const [source, own, parent] =
    hop.kind === 'association' ? [hop.through, hop.to, hop.from] : [hop.table, hop.table.key[0] ?? '', hop.column]
  const filter = hop.kind === 'association' ? whereSql('t', source, hop.throughWhere, { add }) : 'true'
  const { rows } = await client.query<{ parent: string }>(
    `select distinct t.${quoteIdent(parent)}::text as parent from ${quoteTable(source.id)} t
     where t.${quoteIdent(own)}::text = any(${list}::text[]) and t.${quoteIdent(parent)} is not null and ${filter}`,
    parameters,
  )
  return rows.map((row) => row.parent)
}
