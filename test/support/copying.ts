/**
 * A copy of tables between two test databases, run pass by pass or left running, and the question whether they are equal.
 * Invariant: equality is of every value as PostgreSQL prints it, read with separate SQL on either side.
 */

import { expect } from 'vitest'
import { postgres } from '../../connectors/postgres/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { ConnectFaults, RunConnectorOptions } from '../../src/connect/options.ts'
import { type PassOptions, runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import type { Pool } from '../../src/db/pool.ts'
import type { CopiedTable, Table } from '../../src/define/index.ts'
import { createTestDatabase } from './pg.ts'

export interface CopyPlace {
  readonly name: string
  readonly source: { readonly url: string; readonly pool: Pool }
  readonly target: { readonly pool: Pool }
}

export interface CopyRun {
  readonly warnings: string[]
  /** One pass that ends when it has caught up. */
  pass(options?: { readonly faults?: ConnectFaults; readonly signal?: AbortSignal } & PassOptions): Promise<number>
}

export function copyBetween(
  { name, source, target }: CopyPlace,
  tables: readonly (Table | CopiedTable)[],
  options: { readonly chunkRows?: number; readonly whenSlotIsLost?: 'copy again' | 'stop' } = {},
): CopyRun {
  const connector = postgres({ name: 'shop', url: source.url, tables, slot: `copy_${name}`, ...options })
  const warnings: string[] = []
  const log = { info: () => undefined, warn: (_: object, message: string) => void warnings.push(message) }
  return {
    warnings,
    pass: async ({ faults, signal = new AbortController().signal, ...pass } = {}) => {
      const run: RunConnectorOptions = {
        pool: target.pool,
        connector,
        signal,
        log,
        ...(faults === undefined ? {} : { faults }),
      }
      await prepareConnector(run)
      const [stream] = connector.streams
      if (stream === undefined) throw new Error('no stream')
      const { written } = await runPass(run, stream, new BudgetBook(), { isWaitedFor: true, ...pass })
      return written
    },
  }
}

/** Every row of a table, each as one text, in the order of those texts. */
export async function printed(pool: Pool, table: string, columns: string): Promise<readonly string[]> {
  const { rows } = await pool.query<{ row: string }>(
    `select t::text as row from (select ${columns} from ${table}) t order by 1`,
  )
  return rows.map(({ row }) => row)
}

export async function dropCopySlot(pool: Pool, name: string): Promise<void> {
  await pool.query(
    `select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active`,
    [`copy_${name}`],
  )
  await pool.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [
    `copy_${name}`,
  ])
}

/** Two databases; disposing drops the slot of the copy between them as well. */
export async function copyPlaces(label: string) {
  const source = await createTestDatabase(`${label}_source`)
  const target = await createTestDatabase(`${label}_copy`)
  return {
    name: source.name,
    source,
    target,
    [Symbol.asyncDispose]: async () => {
      await dropCopySlot(source.pool, source.name)
      await source[Symbol.asyncDispose]()
      await target[Symbol.asyncDispose]()
    },
  }
}

/** @returns how many rows both hold */
export async function sameIn({ source, target }: Pick<CopyPlace, 'source' | 'target'>, table: string, columns = '*') {
  const there = await printed(source.pool, table, columns)
  expect(await printed(target.pool, table, columns)).toEqual(there)
  return there.length
}
