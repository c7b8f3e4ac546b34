/**
 * Drives the recompute stage as the runner does, with changes made of what SQL really did to the tables.
 */

import { ensureSourceTables } from '../../src/connect/source-tables.ts'
import { parseLsn } from '../../src/db/lsn.ts'
import { quoteTable, withTransaction } from '../../src/db/pool.ts'
import type { Table } from '../../src/define/index.ts'
import type { EntityNode, Graph } from '../../src/graph/graph.ts'
import type { Batch, Change, Row } from '../../src/log/log.ts'
import { END_OF_TRANSACTION } from '../../src/log/position.ts'
import type { ApplyContext, StageEvent } from '../../src/log/stage.ts'
import { createRecomputeStage, type RecomputeStage } from '../../src/recompute/stage.ts'
import type { TestDatabase } from '../support/pg.ts'
import { rawRows } from './oracle.ts'

export interface Harness {
  readonly stage: RecomputeStage
  readonly events: StageEvent[]
  /** Runs SQL and returns what the log would carry of it. */
  exec(sql: string, values?: unknown[]): Promise<readonly Change[]>
  /** One batch, as the runner applies it. `snapshotLsn` overrides the position read before the snapshot. */
  apply(changes: readonly Change[], snapshotLsn?: bigint): Promise<void>
  /** The time it is from now on, milliseconds since 1970. */
  setNow(nowMs: number): void
  /** Sweeps until nothing is left; returns how many pieces it took. */
  sweep(): Promise<number>
  /** key → feature → value. */
  stored(entity?: string): Promise<Readonly<Record<string, Readonly<Record<string, unknown>>>>>
}

let position = 1_000n

export function change(table: string, op: Change['op'], before: Row | null, after: Row | null): Change {
  position += 1n
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])
  const changed = op === 'update' ? [...names].filter((name) => before?.[name] !== after?.[name]) : null
  return {
    kind: 'change',
    position: { lsn: position, index: 0 },
    xid: 1,
    committedAtMs: 1_750_000_000_000 + Number(position) + 0.125,
    table,
    op,
    before,
    after,
    changed,
  }
}

export function batchOf(changes: readonly Change[]): Batch {
  const last = changes.at(-1)
  return {
    entries: changes,
    end: { lsn: last?.position.lsn ?? 0n, index: END_OF_TRANSACTION },
    committedAtMs: last?.committedAtMs ?? 0,
    xids: [1],
  }
}

function diff(table: Table, before: readonly Row[], after: readonly Row[]): readonly Change[] {
  const keyOf = (row: Row) => table.key.map((column) => row[column]).join('\0')
  const old = new Map(before.map((row) => [keyOf(row), row]))
  const changes: Change[] = []
  for (const row of after) {
    const previous = old.get(keyOf(row))
    old.delete(keyOf(row))
    if (previous === undefined) changes.push(change(table.id, 'insert', null, row))
    else if (JSON.stringify(previous) !== JSON.stringify(row)) changes.push(change(table.id, 'update', previous, row))
  }
  for (const row of old.values()) changes.push(change(table.id, 'delete', row, null))
  return changes
}

export async function openHarness(
  db: TestDatabase,
  graph: Graph,
  options: { readonly strict?: boolean; readonly isRollback?: boolean; readonly tables?: readonly Table[] } = {},
): Promise<Harness> {
  const tables = options.tables ?? graph.tables
  const setUp = await db.pool.connect()
  await ensureSourceTables(setUp, tables).finally(() => setUp.release())
  const events: StageEvent[] = []
  const stage = createRecomputeStage({
    graph,
    report: (event) => void events.push(event),
    strict: options.strict ?? true,
    isRollback: options.isRollback,
  })
  await stage.deploy(db.pool)

  let nowMs = 0
  const inTransaction = async <T>(work: (context: ApplyContext) => Promise<T>, snapshotLsn?: bigint): Promise<T> => {
    const client = await db.pool.connect()
    try {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      await client.query('begin isolation level repeatable read')
      const lsn = snapshotLsn ?? parseLsn(rows[0]?.lsn ?? '')
      const result = await work({ client, snapshotLsn: lsn, nowMs, signal: new AbortController().signal })
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  const snapshot = async () => {
    const rows = new Map<Table, readonly Row[]>()
    for (const table of tables) rows.set(table, await rawRows(db.pool, table))
    return rows
  }

  return {
    stage,
    events,
    setNow: (to) => {
      nowMs = to
    },
    exec: async (sql, values) => {
      const before = await snapshot()
      const xid = await withTransaction(db.pool, {}, async (client) => {
        await client.query(sql, values)
        const { rows } = await client.query<{ xid: string }>('select pg_current_xact_id()::xid::text as xid')
        return Number(rows[0]?.xid)
      })
      const after = await snapshot()
      const changes = tables.flatMap((table) => diff(table, before.get(table) ?? [], after.get(table) ?? []))
      return changes.map((each) => ({ ...each, xid }))
    },
    apply: async (changes, snapshotLsn) => {
      const work = stage.plan(batchOf(changes))
      if (work === null) return
      await inTransaction((context) => stage.apply(work, context), snapshotLsn)
      stage.committed?.(work)
    },
    sweep: async () => {
      let pieces = 1
      while (await inTransaction((context) => stage.sweep(context))) pieces += 1
      return pieces
    },
    stored: async (entity = 'company') => {
      const node = graph.entities.get(entity)
      return node === undefined ? {} : storedFeatures(db, node)
    },
  }
}

async function storedFeatures(db: TestDatabase, node: EntityNode) {
  const { rows } = await db.query<Record<string, unknown>>(`select * from ${quoteTable(node.featureTable)}`)
  return Object.fromEntries(
    rows.map((row) => [
      String(row.key),
      Object.fromEntries(
        node.features.map(({ feature }) => {
          const value = row[feature.name]
          return [feature.name, typeof value === 'bigint' ? Number(value) : value]
        }),
      ),
    ]),
  )
}
