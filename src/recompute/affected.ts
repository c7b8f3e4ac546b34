/**
 * From changes to affected entities: which (entity, key) pairs, which features of each, and because of what.
 *
 * Invariants: a change nobody reads gives nothing; a moved child touches its old and its new parent; whatever is not
 * known (no before image) counts as changed. Bits are bigint masks over the entity's features in graph order. Pure: what
 * the changes alone cannot tell is left as traces, which traces.ts follows in the snapshot.
 */

import { formatLsn } from '../db/lsn.ts'
import type { Table } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import type { Graph, Reader } from '../graph/graph.ts'
import type { Batch, Change, Row } from '../log/log.ts'
import type { Cause, ChangeCause } from '../log/stage.ts'
import { type Route, routesOf } from './routes.ts'
import { surelyFails } from './where.ts'

export interface Dirty {
  bits: bigint
  /** The first MAX_CAUSES. */
  readonly causes: Cause[]
  causeCount: number
  /** Commit time of the newest change behind it, milliseconds since 1970, and its LSN. */
  newestCauseMs: number
  newestLsn: bigint
  /** By transaction, where processes share the stage; else empty. */
  readonly marks: Mark[]
  /** Of what was fed: computed by another worker since, with all that fed it in sight (computed.ts). */
  done: bigint
}

/** What one transaction fed. */
export interface Mark {
  /** 32 bits; 0: not known. */
  readonly xid: number
  bits: bigint
}

/** entity → key (text) → what is dirty. */
export type Affected = Map<string, Map<string, Dirty>>

/** Rows some way along a path, to be followed back to entities in the stage's snapshot. */
export interface Trace {
  readonly route: Route
  /** Hops left: the keys name rows of the table of hop `hop - 1`. */
  readonly hop: number
  readonly keys: ReadonlySet<string>
  readonly bits: bigint
  readonly causes: readonly ChangeCause[]
  readonly change: Change
  readonly isShared: boolean
}

export interface Plan {
  readonly affected: Affected
  readonly traces: readonly Trace[]
  /**
   * Tables that were truncated, or of a row of which the log does not say where it belonged before (their replica identity
   * is no longer FULL): everything that reads them is stale.
   */
  readonly truncated: readonly string[]
}

const MAX_CAUSES = 20
const MAX_CAUSE_TEXT = 200

export function mask(bits: readonly number[]): bigint {
  return bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)
}

export function markDirty(
  affected: Affected,
  entity: string,
  key: string,
  found: Pick<Trace, 'bits' | 'causes' | 'change' | 'isShared'>,
): void {
  const keys = affected.get(entity) ?? new Map<string, Dirty>()
  affected.set(entity, keys)
  const dirty = keys.get(key) ?? {
    bits: 0n,
    causes: [],
    causeCount: 0,
    newestCauseMs: 0,
    newestLsn: 0n,
    marks: [],
    done: 0n,
  }
  keys.set(key, dirty)
  dirty.bits |= found.bits
  if (found.isShared) noteMark(dirty, found.change.xid, found.bits)
  if (found.change.committedAtMs >= dirty.newestCauseMs) {
    dirty.newestCauseMs = found.change.committedAtMs
    dirty.newestLsn = found.change.position.lsn
  }
  for (const cause of found.causes) {
    // The same column of the same row reaches an entity along every route that reads it.
    const isKnown = dirty.causes.some(
      (known) =>
        known.op !== 'time' &&
        known.lsn === cause.lsn &&
        known.key === cause.key &&
        known.table === cause.table &&
        known.column === cause.column &&
        known.from === cause.from,
    )
    if (isKnown) continue
    dirty.causeCount += 1
    if (dirty.causes.length < MAX_CAUSES) dirty.causes.push(cause)
  }
}

function noteMark({ marks }: Dirty, xid: number, bits: bigint): void {
  const known = marks.find((mark) => mark.xid === xid)
  if (known === undefined) marks.push({ xid, bits })
  else known.bits |= bits
}

/** Long texts are told apart by their beginning; half a surrogate pair at the cut would be no JSON. */
function short(value: string | null | undefined): string | null {
  if (value === null || value === undefined) return null
  return value.length > MAX_CAUSE_TEXT ? `${value.slice(0, MAX_CAUSE_TEXT).toWellFormed()}…` : value
}

function causesOf(change: Change, table: Table, columns: ReadonlySet<string>): readonly ChangeCause[] {
  const row = change.after ?? change.before
  const base = {
    table: change.table,
    key: table.key.map((column) => row?.[column] ?? '').join(','),
    op: change.op,
    lsn: formatLsn(change.position.lsn),
    committedAtMs: change.committedAtMs,
  }
  if (columns.size === 0) return [{ ...base, column: null, from: null, to: null }]
  return [...columns].map((column) => ({
    ...base,
    column,
    from: short(change.before?.[column]),
    to: short(change.after?.[column]),
  }))
}

/** Whether the filter of the changed row says that it fed this reader neither before nor after. */
function isFilteredOut(change: Change, reader: Reader, table: Table): boolean {
  const { where } = reader
  if (where === null) return false
  // An update always has an old row, even where the log does not know it.
  const before = change.before ?? (change.op === 'update' ? {} : null)
  return surelyFails(table, where, before) && surelyFails(table, where, change.after)
}

interface Read {
  readonly bits: bigint
  /** Changed columns that are read; empty when it is the row's existence, or when what changed is not known. */
  readonly columns: ReadonlySet<string>
}

/** What of a change the readers along one route read; null when nothing. */
function readBy(change: Change, route: Route, table: Table): Read | null {
  const changed = change.op === 'update' ? change.changed : null
  const columns = new Set<string>()
  let bits = 0n
  for (const { reader, bits: fed } of route.readers) {
    const read = changed?.filter((column) => reader.columns.has(column))
    if (read?.length === 0 || isFilteredOut(change, reader, table)) continue
    bits |= fed
    for (const column of read ?? []) columns.add(column)
  }
  return bits === 0n ? null : { bits, columns }
}

function valuesOf(column: string, rows: readonly (Row | null)[]): ReadonlySet<string> {
  return new Set(rows.map((row) => row?.[column]).filter((value) => typeof value === 'string'))
}

/** Column of the changed row whose values lead on to the entity. */
function leadingColumn({ path, viaAssociation }: Route, table: Table): string {
  const hop = path.at(-1)
  if (hop === undefined || (hop.kind === 'association' && !viaAssociation)) return table.key[0] ?? ''
  return hop.kind === 'foreign-key' ? hop.column : hop.from
}

/** Without whole old rows in the log only the key's old values are known: a key that moved brings its old one along. */
function isOldPlaceUnknown(change: Change, route: Route, table: Table): boolean {
  const column = leadingColumn(route, table)
  return change.op !== 'insert' && !table.key.includes(column) && change.before?.[column] === undefined
}

/** Marks what the change itself tells; returns the trace where it cannot tell. */
function follow(
  change: Change,
  { route, table, isShared }: { readonly route: Route; readonly table: Table; readonly isShared: boolean },
  read: Read,
  affected: Affected,
): Trace | null {
  const found = { bits: read.bits, causes: causesOf(change, table, read.columns), change, isShared }
  const hop = route.path.at(-1)
  const isOwnRow = hop === undefined
  const isTarget = hop?.kind === 'association' && !route.viaAssociation
  const column = leadingColumn(route, table)
  const isOldForgotten = isPlanted('old-parent-forgotten') && change.op === 'update' && !isOwnRow
  const keys = valuesOf(column, isOldForgotten ? [change.after] : [change.before, change.after])
  // The target of an association does not hold its parents: they stand in the association table.
  const hopsLeft = isTarget ? route.path.length : Math.max(0, route.path.length - 1)
  if (hopsLeft > 0) return { route, hop: hopsLeft, keys, ...found }
  for (const key of keys) markDirty(affected, route.entity, key, found)
  return null
}

/** Pure: what a batch means, as far as its changes alone can tell. Null when it means nothing. */
export function planAffected(graph: Graph, batch: Batch): Plan | null {
  const routes = routesOf(graph)
  const affected: Affected = new Map()
  const traces: Trace[] = []
  const truncated = new Set<string>()
  // The one log in one piece has one worker.
  const isShared = batch.source !== undefined
  for (const entry of batch.entries) {
    if (entry.kind !== 'change') continue
    const watched = routes.get(entry.table)
    if (watched === undefined) continue
    if (entry.op === 'truncate') {
      truncated.add(entry.table)
      continue
    }
    for (const route of watched.routes) {
      const read = readBy(entry, route, watched.table)
      if (read === null) continue
      if (isOldPlaceUnknown(entry, route, watched.table)) truncated.add(entry.table)
      const trace = follow(entry, { route, table: watched.table, isShared }, read, affected)
      if (trace !== null) traces.push(trace)
    }
  }
  if (affected.size === 0 && traces.length === 0 && truncated.size === 0) return null
  return { affected, traces, truncated: [...truncated] }
}
